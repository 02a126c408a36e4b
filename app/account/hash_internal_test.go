package account

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/portico-web/portico/internal/fault"
)

func TestHasherBoundsWhoWaits(t *testing.T) {
	t.Parallel()
	h := newHasher(1)
	release, err := h.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waiters := make(chan error)
	for range waitersPerSlot {
		go func() {
			_, err := h.acquire(ctx)
			waiters <- err
		}()
	}
	for h.waiting.Load() < waitersPerSlot {
		select {
		case err := <-waiters:
			t.Fatalf("a waiter returned early: %v", err)
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		default:
		}
	}
	_, err = h.hash(ctx, "one too many")
	if refused, ok := errors.AsType[*fault.Error](err); !ok || refused.Kind != fault.Unavailable || refused.RetryAfter <= 0 {
		t.Errorf("one too many: %v", err)
	}
	cancel()
	for range waitersPerSlot {
		if err := <-waiters; !errors.Is(err, context.Canceled) {
			t.Errorf("a waiter whose client left: %v", err)
		}
	}
	release()
	if _, err := h.hash(t.Context(), "password"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestHashesVerify(t *testing.T) {
	t.Parallel()
	h := newHasher(2)
	for _, password := range []string{"correct-horse-battery", "비밀번호는길게", "\x00\xff", strings.Repeat("x", 500)} {
		encoded, err := h.hash(t.Context(), password)
		if err != nil {
			t.Fatal(err)
		}
		again, err := h.hash(t.Context(), password)
		if err != nil || again == encoded {
			t.Errorf("two hashes of one password: %q, %q, %v", encoded, again, err)
		}
		if matches, outdated, err := h.verify(t.Context(), encoded, password); !matches || outdated || err != nil {
			t.Errorf("%q: %v, %v, %v", password, matches, outdated, err)
		}
		if matches, _, err := h.verify(t.Context(), encoded, password+" "); matches || err != nil {
			t.Errorf("%q with a space: %v, %v", password, matches, err)
		}
	}
	if matches, _, err := h.verify(t.Context(), "", "anything"); matches || err != nil {
		t.Errorf("nobody's password: %v, %v", matches, err)
	}
	if matches, _, err := h.verify(t.Context(), "!", "anything"); matches || !errors.Is(err, errNotArgon2) {
		t.Errorf("an unusable password: %v, %v", matches, err)
	}
}

func FuzzParseArgon2(f *testing.F) {
	for _, seed := range []string{
		"$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=4294967295,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=8,t=1,p=16$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2i$v=19$m=8,t=1,p=1$$", "argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdA$aGFzaA", "$$$$$", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		h, err := parseArgon2(encoded)
		if err != nil {
			return
		}
		if h.String() != encoded {
			t.Errorf("%q is written back as %q", encoded, h.String())
		}
		if p := h.params; p.memory > maxMemory || p.passes > maxPasses || p.lanes > maxLanes || p.passes < 1 || p.memory < 8*uint32(p.lanes) || len(h.salt) < 8 || len(h.key) < 16 {
			t.Errorf("%q is out of bounds", encoded)
		}
	})
}

func TestEmailAddresses(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]emailAddress{
		"a@example.com":                {"a@example.com", "a@example.com"},
		"  Min.Ji+x@EXAMPLE.co.kr\n":   {"Min.Ji+x@example.co.kr", "min.ji+x@example.co.kr"},
		"o'neil!#$%&*/=?^_`{|}~-@x.io": {"o'neil!#$%&*/=?^_`{|}~-@x.io", "o'neil!#$%&*/=?^_`{|}~-@x.io"},
		"admin@localhost":              {"admin@localhost", "admin@localhost"},
		"학생@한빛.kr":                     {},
		"student@한빛대학교.kr":             {"student@xn--c79akt83kezc60fdse.kr", ""},
		"a@b":                          {}, "@example.com": {}, "a@": {}, "a": {}, "": {}, "a b@example.com": {}, "a@exa mple.com": {},
		"a@b@example.com": {}, ".a@example.com": {}, "a.@example.com": {}, "a..b@example.com": {}, `"a"@example.com`: {},
		"a@-example.com": {}, "a@example-.com": {}, "a@example..com": {}, "a@example.com.": {}, "a@127.0.0.1": {}, "a@[127.0.0.1]": {},
		"a@example.com\r\nBcc: b@example.com": {}, "Min Ji <a@example.com>": {}, "a@exam_ple.com": {}, "a\x00@example.com": {}, "\xff@example.com": {},
		strings.Repeat("a", 65) + "@example.com": {}, "a@" + strings.Repeat("b", 64) + ".com": {}, "a@" + strings.Repeat("b.", 126) + "com": {},
	} {
		got, err := parseEmail(raw)
		if (err == nil) != (want.text != "") {
			t.Errorf("%q: %+v, %v", raw, got, err)
			continue
		}
		if want.key != "" && got != want {
			t.Errorf("%q: %+v, want %+v", raw, got, want)
		}
	}
}

func TestPasswordRules(t *testing.T) {
	t.Parallel()
	for password, bad := range map[string]bool{
		"correct-horse-battery": false, "무궁화꽃이피었습니다": false, "qwer1234": true, "tkfkdgo1": true, "88888888": true, "٣٤٥٦٧٨٩٠": true,
		"1234567": true, strings.Repeat("a-", 64): false, strings.Repeat("a-", 64) + "b": true,
		"gildong.hong": true, "GildongHong1": true, "hanbit-univ": true,
		"gildong.hong goes to the sea in summer": false,
	} {
		messages := passwordFaults(password, "gildong.hong@hanbit-univ.example", attribute{"nickname", ""})
		if (len(messages) > 0) != bad {
			t.Errorf("%q: %q", password, messages)
		}
	}
}
