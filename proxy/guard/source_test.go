package guard_test

import (
	"testing"

	"github.com/portico-web/portico/proxy/guard"
	"github.com/portico-web/portico/proxy/message"
)

func TestASourceFindsItsValueAndNoOther(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		source string
		fields []string
		want   string
	}{
		{"header:X-Key", []string{"x-key", "a", "X-Key", "b"}, "a"},
		{"header:X-Key", []string{"X_Key", "a", "X-Keys", "b"}, ""},
		{"header:Authorization", []string{"authorization", "Bearer x"}, "Bearer x"},
		{"cookie:sid", []string{"Cookie", "a=b; sid=c;d=e"}, "c"},
		{"cookie:sid", []string{"Cookie", "a=b", "cookie", "sid=c"}, "c"},
		{"cookie:sid", []string{"Cookie", "asid=1;sid2=2; =sid; sid"}, ""},
		{"cookie:sid", []string{"Cookie", "sid=a=b "}, "a=b"},
		{"cookie:sid", []string{"X-Cookie", "sid=a"}, ""},
	} {
		source, err := guard.ParseSource(c.source)
		if err != nil {
			t.Fatal(err)
		}
		var head message.Head
		for i := 0; i < len(c.fields); i += 2 {
			head.AddNamed(c.fields[i], c.fields[i+1])
		}
		if got := string(source.Value(&head)); got != c.want {
			t.Errorf("%s in %q: %q, want %q", c.source, c.fields, got, c.want)
		}
	}
}

func TestAssertedNamesAreHeldInEverySpelling(t *testing.T) {
	t.Parallel()
	asserted := guard.Assert("X-Auth-User").And("X-Role")
	for name, want := range map[string]bool{
		"X-Auth-User": true, "x-auth-user": true, "X_AUTH_USER": true, "x.auth~user": true, "x-role": true,
		"X-Auth-Users": false, "X-Auth-Use": false, "XAuth-User": false, "": false,
	} {
		if asserted.Holds([]byte(name)) != want {
			t.Errorf("%q", name)
		}
	}
	if (guard.Asserted{}).Holds([]byte("X-Auth-User")) {
		t.Error("none holds one")
	}
}

func TestATokenThatStandsTwiceIsNone(t *testing.T) {
	t.Parallel()
	for text, c := range map[string]struct {
		fields [][2]string
		want   string
	}{
		"header:X-Token":     {[][2]string{{"x-token", "a"}}, "a"},
		"header:X-token":     {[][2]string{{"X-Token", "a"}, {"x-token", "b"}}, ""},
		"cookie:t":           {[][2]string{{"Cookie", "u=1; t=a"}, {"Cookie", "T=b"}}, "a"},
		"cookie:twice":       {[][2]string{{"Cookie", "twice=a; twice=b"}}, ""},
		"cookie:in_two":      {[][2]string{{"Cookie", "in_two=a"}, {"Cookie", "in_two=b"}}, ""},
		"header:X-Not-There": {nil, ""},
	} {
		source, err := guard.ParseSource(text)
		if err != nil {
			t.Fatal(err)
		}
		var head message.Head
		for _, field := range c.fields {
			head.AddNamed(field[0], field[1])
		}
		if got := string(source.Only(&head)); got != c.want {
			t.Errorf("%s: %q, want %q", text, got, c.want)
		}
	}
}
