package account

import (
	_ "embed"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a new password, in characters.
const (
	minPassword = 8
	maxPassword = 128
)

//go:embed commonpasswords.txt
var commonPasswordList string

// commonPasswords are the first that anybody tries, in lower case.
var commonPasswords = func() map[string]bool {
	common := map[string]bool{}
	for line := range strings.Lines(commonPasswordList) {
		common[strings.TrimSpace(line)] = true
	}
	return common
}()

// passwordFaults tells everything that is wrong with a new password, in Django's words. attributes are what is known of its
// owner: a password much like one of them is refused.
func passwordFaults(password, email string, attributes ...attribute) []string {
	var messages []string
	length := utf8.RuneCountInString(password)
	for _, a := range append([]attribute{{"email address", email}}, attributes...) {
		if a.resembles(password) {
			messages = append(messages, fmt.Sprintf("The password is too similar to the %s.", a.name))
			break
		}
	}
	if length < minPassword {
		messages = append(messages, "This password is too short. It must contain at least 8 characters.")
	}
	if length > maxPassword {
		messages = append(messages, "Ensure this field has no more than 128 characters.")
	}
	if commonPasswords[strings.ToLower(strings.TrimSpace(password))] {
		messages = append(messages, "This password is too common.")
	}
	if !strings.ContainsFunc(password, func(r rune) bool { return !unicode.IsDigit(r) }) {
		messages = append(messages, "This password is entirely numeric.")
	}
	return messages
}

// attribute is something that is known of a password's owner.
type attribute struct{ name, value string }

// similar is the share of characters in common from which a password is too much like an attribute.
const similar = 0.7

// resembles compares the password to the attribute and to each word in it.
func (a attribute) resembles(password string) bool {
	password = strings.ToLower(password)
	value := strings.ToLower(a.value)
	words := strings.FieldsFunc(value, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' })
	for _, word := range append(words, value) {
		if likeness(password, word) >= similar {
			return true
		}
	}
	return false
}

// likeness is the share of characters that two texts have in common, in whatever order: 0 for none, 1 for the same ones. A
// text many times longer than the other is not like it, so that a letter within a long password does no harm.
func likeness(a, b string) float64 {
	lengthA, lengthB := utf8.RuneCountInString(a), utf8.RuneCountInString(b)
	if lengthA == 0 || lengthB == 0 || lengthA > maxPassword {
		return 0
	}
	counts := map[rune]int{}
	for _, r := range b {
		counts[r]++
	}
	common := 0
	for _, r := range a {
		if counts[r] > 0 {
			counts[r]--
			common++
		}
	}
	return 2 * float64(common) / float64(lengthA+lengthB)
}
