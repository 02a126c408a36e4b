package guard

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// What one verification may cost at most, so that a users file cannot take the machine down.
const (
	maxBcryptCost   = 16
	maxArgon2Memory = 256 << 10 // KiB
	maxArgon2Passes = 16
	maxArgon2Lanes  = 16
	maxHashLength   = 512
)

// passwordHash is a stored hash of a password: bcrypt, or argon2id.
type passwordHash struct {
	text      string
	argon     bool
	memory    uint32 // of argon2id, in KiB
	passes    uint32
	lanes     uint8
	salt, key []byte
}

// parseHash reads $2y$… (also $2a$ and $2b$), or a PHC string $argon2id$v=19$m=…,t=…,p=…$salt$key.
func parseHash(text string) (passwordHash, error) {
	switch {
	case len(text) > maxHashLength:
		return passwordHash{}, errors.New("the hash is too long")
	case strings.HasPrefix(text, "$2y$"), strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"):
		cost, err := bcrypt.Cost([]byte(text))
		if err != nil || len(text) != 60 {
			return passwordHash{}, errors.New("the bcrypt hash is malformed")
		}
		if cost > maxBcryptCost {
			return passwordHash{}, fmt.Errorf("the bcrypt hash costs %d, more than %d", cost, maxBcryptCost)
		}
		return passwordHash{text: text}, nil
	case strings.HasPrefix(text, "$argon2id$"):
		return parseArgon2(text)
	default:
		return passwordHash{}, errors.New("the password is hashed by neither bcrypt nor argon2id: make the line with htpasswd -nB NAME")
	}
}

func parseArgon2(text string) (passwordHash, error) {
	malformed := errors.New("the argon2id hash is malformed: want $argon2id$v=19$m=…,t=…,p=…$salt$key")
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return passwordHash{}, malformed
	}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return passwordHash{}, malformed
	}
	var numbers [3]uint64
	for i, bound := range []struct {
		name string
		most uint64
	}{{"m=", maxArgon2Memory}, {"t=", maxArgon2Passes}, {"p=", maxArgon2Lanes}} {
		digits, named := strings.CutPrefix(costs[i], bound.name)
		number, err := strconv.ParseUint(digits, 10, 32)
		if !named || err != nil || number == 0 {
			return passwordHash{}, malformed
		}
		if number > bound.most {
			return passwordHash{}, fmt.Errorf("the argon2id hash wants %s%d, more than %d", bound.name, number, bound.most)
		}
		numbers[i] = number
	}
	salt, saltErr := base64.RawStdEncoding.Strict().DecodeString(parts[4])
	key, keyErr := base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if saltErr != nil || keyErr != nil || len(salt) < 8 || len(key) < 16 {
		return passwordHash{}, malformed
	}
	return passwordHash{
		text: text, argon: true, memory: uint32(numbers[0]), passes: uint32(numbers[1]), lanes: uint8(numbers[2]), salt: salt, key: key,
	}, nil
}

// verify takes as long as the hash costs, whatever the password is.
func (h *passwordHash) verify(password []byte) bool {
	if !h.argon {
		return bcrypt.CompareHashAndPassword([]byte(h.text), password) == nil
	}
	derived := argon2.IDKey(password, h.salt, h.passes, h.memory, h.lanes, uint32(len(h.key))) // parseHash bounds it
	return subtle.ConstantTimeCompare(derived, h.key) == 1
}
