package guard

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Users are those of a users file, with the hashes of their passwords. They are safe for concurrent use.
type Users struct {
	hashes map[string]*passwordHash
	all    []*passwordHash
}

const (
	maxUsers    = 100_000
	maxUserName = 256
)

// ParseUsers reads lines of NAME:HASH, as htpasswd writes them. Empty lines and lines that begin with # do not count. An error
// names the line, never the hash.
func ParseUsers(content []byte) (*Users, error) {
	users := &Users{hashes: map[string]*passwordHash{}}
	number := 0
	for line := range bytes.Lines(content) {
		number++
		text := strings.TrimRight(string(line), " \t\r\n")
		if text == "" || text[0] == '#' {
			continue
		}
		name, encoded, found := strings.Cut(text, ":")
		if !found || name == "" || len(name) > maxUserName || !FieldValue(name) {
			return nil, fmt.Errorf("line %d is not NAME:HASH", number)
		}
		hash, err := parseHash(encoded)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if users.hashes[name] != nil {
			return nil, fmt.Errorf("line %d: %s is there twice", number, name)
		}
		if len(users.all) == maxUsers {
			return nil, fmt.Errorf("there are more than %d users", maxUsers)
		}
		users.hashes[name] = &hash
		users.all = append(users.all, &hash)
	}
	if len(users.all) == 0 {
		return nil, errors.New("there is no user in it: add one with htpasswd -B FILE NAME")
	}
	return users, nil
}

// FieldValue tells whether a text can be the value of a field as it is: valid UTF-8 without control characters, and without
// white space around it.
func FieldValue(text string) bool {
	return text != "" && len(text) <= maxFieldValue && utf8.ValidString(text) && strings.TrimSpace(text) == text &&
		!strings.ContainsFunc(text, unicode.IsControl)
}

const maxFieldValue = 4 << 10
