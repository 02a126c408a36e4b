package demo

import (
	"math/rand/v2"
	"strings"
)

// language is the sentences of one language: words by slot, and topics by kind of board.
type language struct {
	slots map[string][]string
	kinds map[string][]topic
}

// topic is something that people write about: a title, and the paragraphs of a text.
type topic struct {
	title      string
	paragraphs []string
}

// write makes a post about a topic that suits the kind of board. Only its arguments decide what comes out.
func (l language) write(random *rand.Rand, kind string) (title, content string) {
	topics := l.kinds[kind]
	chosen := topics[random.IntN(len(topics))]
	words := map[string]string{}
	title = l.fill(random, chosen.title, words)
	separator := "\n"
	if random.IntN(2) == 0 {
		separator = "\n\n"
	}
	paragraphs := make([]string, len(chosen.paragraphs))
	for i, paragraph := range chosen.paragraphs {
		paragraphs[i] = l.fill(random, paragraph, words)
	}
	// Some people are brief.
	if len(paragraphs) > 2 && random.IntN(5) == 0 {
		paragraphs = paragraphs[:2]
	}
	return title, strings.Join(paragraphs, separator)
}

// fill replaces {slot} by a word of the slot, the same one throughout a post, and {slot|pair} by the word with its particle.
func (l language) fill(random *rand.Rand, text string, words map[string]string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{")
		out.WriteString(before)
		if !found {
			break
		}
		slot, after, _ := strings.Cut(rest, "}")
		slot, pair, _ := strings.Cut(slot, "|")
		word, known := words[slot]
		if !known {
			choices := l.slots[slot]
			word = choices[random.IntN(len(choices))]
			words[slot] = word
		}
		out.WriteString(word)
		out.WriteString(particle(word, pair))
		text = after
	}
	return capital(out.String())
}

// particle is the one of a pair of Korean particles that fits after word: the first after a final consonant, the second
// else. The pairs with 이나 and 으로 drop their first syllable instead.
func particle(word, pair string) string {
	if pair == "" {
		return ""
	}
	forms := []rune(pair)
	consonant := endsInConsonant(word)
	switch {
	case pair == "으로" && (!consonant || endsInRieul(word)), pair == "이나" && !consonant:
		return string(forms[1])
	case pair == "으로", pair == "이나":
		return pair
	case consonant:
		return string(forms[0])
	}
	return string(forms[1])
}

// endsInConsonant looks at the last Hangul syllable: syllables stand in Unicode in groups of 28 by their final sound.
func endsInConsonant(word string) bool {
	runes := []rune(word)
	last := runes[len(runes)-1]
	if last < '가' || last > '힣' {
		return strings.ContainsRune("013678lmnr", last) // read aloud: 영, 일, 삼, 육, 칠, 팔; el, em, en, ar
	}
	return (last-'가')%28 != 0
}

// endsInRieul tells whether the last syllable ends in ㄹ, the eighth final sound.
func endsInRieul(word string) bool {
	runes := []rune(word)
	last := runes[len(runes)-1]
	return '가' <= last && last <= '힣' && (last-'가')%28 == 8
}

// capital makes the first letter of each English sentence upper case, as a slot may stand there.
func capital(text string) string {
	runes := []rune(text)
	start := true
	for i, r := range runes {
		if start && 'a' <= r && r <= 'z' {
			runes[i] = r - 'a' + 'A'
		}
		if r != ' ' && r != '[' {
			start = (r == '.' || r == '!' || r == '?') && i+1 < len(runes) && runes[i+1] == ' '
		}
	}
	return string(runes)
}
