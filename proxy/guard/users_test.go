package guard_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/portico-web/portico/proxy/guard"
)

const cheapHash = "$2a$04$qRlYDuwN6PnAxExgBfXN0.nxciEXO/OYbleMRR2dGzGEok5I5VO0K" // of "secret"

func TestAUsersFileIsReadStrictly(t *testing.T) {
	t.Parallel()
	const argon = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$+v0rf6ETYAIpqJIjJyARZ3W3zqJlkf+0TRXzsLHmR6o"
	for _, good := range []string{"a:" + cheapHash, "\n# x\na:" + argon + "  \r\nb:" + cheapHash + "\n", "아다:" + cheapHash} {
		if _, err := guard.ParseUsers([]byte(good)); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, says := range map[string]string{
		"":                                "no user",
		"# nobody\n":                      "no user",
		"\na":                             "line 2 is not NAME:HASH",
		":" + cheapHash:                   "line 1 is not NAME:HASH",
		"a\x01:" + cheapHash:              "line 1 is not NAME:HASH",
		"a:secret":                        "line 1: the password is hashed by neither",
		"a:$apr1$x$y":                     "neither bcrypt nor argon2id",
		"a:{SHA}abc":                      "neither bcrypt nor argon2id",
		"a:" + cheapHash + "\na:" + argon: "line 2: a is there twice",
		"a:" + cheapHash[:59]:             "malformed",
		"a:" + cheapHash + "x":            "malformed",
		"a:" + strings.Replace(cheapHash, "$04$", "$31$", 1):    "costs 31, more than 16",
		"a:" + strings.Replace(argon, "m=64", "m=99999999", 1):  "wants m=99999999",
		"a:" + strings.Replace(argon, "t=1", "t=0", 1):          "malformed",
		"a:" + strings.Replace(argon, "t=1", "t=4294967297", 1): "malformed",
		"a:" + strings.Replace(argon, "v=19", "v=16", 1):        "malformed",
		"a:" + strings.Replace(argon, "c2FsdHNhbHRz", "???", 1): "malformed",
		"a:" + strings.Replace(argon, "argon2id", "argon2i", 1): "neither bcrypt nor argon2id",
		"a:" + argon + strings.Repeat("A", 1000):                "too long",
	} {
		_, err := guard.ParseUsers([]byte(bad))
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "qRlYDuwN") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestAnUnknownUserCostsWhatAKnownOneDoes(t *testing.T) {
	t.Parallel()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), 10)
	if err != nil {
		t.Fatal(err)
	}
	users, err := guard.ParseUsers([]byte("ada:" + string(hash)))
	if err != nil {
		t.Fatal(err)
	}
	passwords := guard.NewPasswords()
	took := func(name string, times int, better func(a, b time.Duration) time.Duration) (best time.Duration) {
		for i := range times {
			began := time.Now()
			if verdict, _ := passwords.Check(users, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), name, []byte("guess")); verdict != guard.Wrong {
				t.Fatal(verdict)
			}
			if spent := time.Since(began); i == 0 {
				best = spent
			} else {
				best = better(best, spent)
			}
		}
		return best
	}
	known := took("ada", 5, func(a, b time.Duration) time.Duration { return min(a, b) })
	unknown := took("eve", 5, func(a, b time.Duration) time.Duration { return max(a, b) })
	if unknown*3 < known {
		t.Errorf("a known user takes %s, an unknown one %s", known, unknown)
	}
}

func TestManyAtOnceWithOnePasswordPassAndFewGuessesAreLookedAt(t *testing.T) {
	t.Parallel()
	users, err := guard.ParseUsers([]byte("ada:" + cheapHash))
	if err != nil {
		t.Fatal(err)
	}
	passwords := guard.NewPasswords()
	client := netip.MustParseAddr("203.0.113.1")
	var mu sync.Mutex
	count := map[string]int{}
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			verdict, _ := passwords.Check(users, client, "ada", []byte("secret"))
			mu.Lock()
			defer mu.Unlock()
			count[fmt.Sprint("right", verdict)]++
		})
		all.Go(func() {
			verdict, _ := passwords.Check(users, netip.MustParseAddr("203.0.113.2"), "ada", []byte(fmt.Sprint("guess", i)))
			mu.Lock()
			defer mu.Unlock()
			count[fmt.Sprint("guess", verdict)]++
		})
	}
	all.Wait()
	if right := count[fmt.Sprint("right", guard.Right)]; right+count[fmt.Sprint("right", guard.Busy)] != 60 || right == 0 {
		t.Errorf("%v", count)
	}
	// Beside the ten, only those that were being looked at when the tenth was found wrong, and one that time allows.
	if wrong := count[fmt.Sprint("guess", guard.Wrong)]; wrong > 10+runtime.GOMAXPROCS(0) || count[fmt.Sprint("guess", guard.Right)] > 0 {
		t.Errorf("%v", count)
	}
}
