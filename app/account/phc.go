package account

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// What a stored hash may ask for at most: whoever can write a row must not be able to take the machine down.
const (
	maxMemory = 256 << 10 // KiB
	maxPasses = 16
	maxLanes  = 16
	maxEncode = 512 // bytes of the whole string
)

// argon2Params are the costs of argon2id; memory is in KiB.
type argon2Params struct {
	memory uint32
	passes uint32
	lanes  uint8
}

// argon2Hash is a hash as it is stored: $argon2id$v=19$m=19456,t=2,p=1$salt$key, salt and key in base64 without padding.
type argon2Hash struct {
	params    argon2Params
	salt, key []byte
}

func (h argon2Hash) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.params.memory, h.params.passes, h.params.lanes,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.key))
}

var errNotArgon2 = errors.New("the stored password is no argon2id hash within bounds")

// parseArgon2 reads a PHC string, strictly: what it takes, it writes again byte for byte.
func parseArgon2(encoded string) (argon2Hash, error) {
	parts := strings.Split(encoded, "$")
	if len(encoded) > maxEncode || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return argon2Hash{}, errNotArgon2
	}
	if parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return argon2Hash{}, errNotArgon2
	}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return argon2Hash{}, errNotArgon2
	}
	var numbers [3]uint64
	for i, bound := range []struct {
		name string
		most uint64
	}{{"m=", maxMemory}, {"t=", maxPasses}, {"p=", maxLanes}} {
		text, named := strings.CutPrefix(costs[i], bound.name)
		number, err := strconv.ParseUint(text, 10, 32)
		if !named || err != nil || number < 1 || number > bound.most {
			return argon2Hash{}, errNotArgon2
		}
		numbers[i] = number
	}
	h := argon2Hash{params: argon2Params{memory: uint32(numbers[0]), passes: uint32(numbers[1]), lanes: uint8(numbers[2])}}
	var saltErr, keyErr error
	h.salt, saltErr = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	h.key, keyErr = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if saltErr != nil || keyErr != nil || len(h.salt) < 8 || len(h.salt) > 64 || len(h.key) < 16 || len(h.key) > 64 {
		return argon2Hash{}, errNotArgon2
	}
	if h.params.memory < 8*uint32(h.params.lanes) || h.String() != encoded {
		return argon2Hash{}, errNotArgon2
	}
	return h, nil
}
