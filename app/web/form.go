package web

import (
	"errors"
	"net/http"

	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/lang"
)

// form is what somebody typed and what is wrong with it, both by field name.
type form struct {
	Values map[string]string
	Errors map[string][]string // in the reader's language; under fault.NonField what is about the whole
}

// read takes the named fields of a posted form.
func read(r *http.Request, names ...string) form {
	f := form{Values: map[string]string{}, Errors: map[string][]string{}}
	for _, name := range names {
		f.Values[name] = r.PostFormValue(name)
	}
	return f
}

// Value is what was typed into a field.
func (f form) Value(name string) string { return f.Values[name] }

// ErrorsOf are the faults of a field.
func (f form) ErrorsOf(name string) []string { return f.Errors[name] }

// General are the faults of the whole.
func (f form) General() []string { return f.Errors[fault.NonField] }

// Failed tells whether anything is wrong.
func (f form) Failed() bool { return len(f.Errors) > 0 }

// refuse adds a fault of a field.
func (f form) refuse(r *http.Request, name, message string) {
	f.Errors[name] = append(f.Errors[name], lang.Of(r.Context()).Text(message))
}

// blame puts a client's fault beside the fields that it is about and returns the status to answer; any other error comes back.
func (f form) blame(w http.ResponseWriter, r *http.Request, err error) (status int, unknown error) {
	known, ok := errors.AsType[*fault.Error](err)
	if !ok || known.Kind == fault.Internal || known.Kind == fault.NotFound {
		return 0, err
	}
	if len(known.Fields) == 0 {
		f.refuse(r, fault.NonField, known.Message)
	}
	for name, messages := range known.Fields {
		if _, shown := f.Values[name]; !shown {
			name = fault.NonField
		}
		for _, message := range messages {
			f.refuse(r, name, message)
		}
	}
	retryLater(w, known)
	return httpx.Status(known.Kind), nil
}

// retryLater says when a request that is refused for now may succeed.
func retryLater(w http.ResponseWriter, refused *fault.Error) {
	if wait := httpx.ErrorHeaders(refused).Get("Retry-After"); wait != "" {
		w.Header().Set("Retry-After", wait)
	}
}
