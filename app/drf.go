package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/httpx"
)

// drfError is a fault in the form in which huma answers errors.
type drfError struct {
	fault *fault.Error
	body  map[string]any
}

func (e *drfError) Error() string                { return e.fault.Error() }
func (e *drfError) Unwrap() error                { return e.fault }
func (e *drfError) GetStatus() int               { return httpx.Status(e.fault.Kind) }
func (e *drfError) GetHeaders() http.Header      { return httpx.ErrorHeaders(e.fault) }
func (e *drfError) MarshalJSON() ([]byte, error) { return json.Marshal(e.body) }

// Schema describes an error in OpenAPI.
func (*drfError) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type:        huma.TypeObject,
		Description: "Either a text under `detail`, with an optional `code`, or a list of texts for each field at fault; `non_field_errors` are about the whole.",
		Properties: map[string]*huma.Schema{
			"detail": {Type: huma.TypeString}, "code": {Type: huma.TypeString},
		},
		AdditionalProperties: &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}},
	}
}

// newDRFError shapes a fault for the language of ctx.
func newDRFError(ctx context.Context, err *fault.Error) *drfError {
	return &drfError{fault: err, body: httpx.ErrorBody(ctx, err)}
}

// answering wraps a domain's handler so that whatever error it returns is logged where it must be and answered in DRF's shape.
func answering[I, O any](log *slog.Logger, handler func(context.Context, *I) (*O, error)) func(context.Context, *I) (*O, error) {
	return func(ctx context.Context, in *I) (*O, error) {
		out, err := handler(ctx, in)
		if err != nil {
			return nil, newDRFError(ctx, httpx.Safe(ctx, log, database.Fault(err)))
		}
		return out, nil
	}
}

// init replaces huma's answer to input that it refuses itself, and the schema of errors that it documents. huma offers no
// setting of an API for this, only the variables.
func init() {
	huma.NewError = func(status int, message string, details ...error) huma.StatusError {
		return newDRFError(context.Background(), refusal(status, message, details))
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, details ...error) huma.StatusError {
		err := refusal(status, message, details)
		for name, values := range httpx.ErrorHeaders(err) {
			for _, value := range values {
				ctx.SetHeader(name, value)
			}
		}
		return newDRFError(ctx.Context(), err)
	}
}

// refusal turns huma's validation result into what Django REST framework would say.
func refusal(status int, message string, details []error) *fault.Error {
	switch status {
	case http.StatusUnsupportedMediaType:
		return fault.New(fault.UnsupportedMedia, "Unsupported media type in request.")
	case http.StatusRequestEntityTooLarge:
		return fault.New(fault.TooLarge, "Request body is too large.")
	case http.StatusRequestTimeout:
		return fault.New(fault.Unavailable, "The request body did not arrive in time.")
	case http.StatusInternalServerError, http.StatusNotAcceptable:
		return fault.Wrap(fault.Internal, "", errors.New(message))
	}
	err := &fault.Error{Kind: fault.Invalid}
	for _, detail := range details {
		found, ok := errors.AsType[*huma.ErrorDetail](detail)
		if !ok {
			return jsonParseError(detail.Error())
		}
		where, field, _ := strings.Cut(found.Location, ".")
		if where == "path" {
			return fault.New(fault.NotFound, "Not found.")
		}
		if where == "body" && field == "" && isParseFailure(found.Message) {
			return jsonParseError(found.Message)
		}
		if missing, ok := strings.CutPrefix(found.Message, "expected required property "); ok {
			name := strings.TrimSuffix(missing, " to be present")
			field = strings.TrimPrefix(field+"."+name, ".")
		}
		if field == "" {
			field = fault.NonField
		}
		err.With(field, drfMessage(found))
	}
	if len(err.Fields) == 0 {
		if message == "request body is required" {
			return jsonParseError("Expecting value: line 1 column 1 (char 0)")
		}
		err.Message = "Malformed request."
	}
	return err
}

func jsonParseError(cause string) *fault.Error {
	if strings.HasPrefix(cause, "json:") { // it repeats the number, however long, and names a type of Go
		cause = "number out of range"
	}
	return fault.New(fault.Invalid, "JSON parse error - "+cause)
}

var parseFailures = []string{"invalid character", "unexpected end of JSON", "unexpected EOF", "json:", "invalid UTF-8", "EOF"}

func isParseFailure(message string) bool {
	for _, prefix := range parseFailures {
		if strings.HasPrefix(message, prefix) {
			return true
		}
	}
	return false
}

var bound = regexp.MustCompile(`^expected (length|number|array length) (>=|<=|>|<) (-?[0-9.e+]+)$`)

// fixedMessages maps huma's words to Django REST framework's.
var fixedMessages = map[string]string{
	"expected string":         "Not a valid string.",
	"expected integer":        "A valid integer is required.",
	"invalid integer":         "A valid integer is required.",
	"expected number":         "A valid number is required.",
	"invalid float":           "A valid number is required.",
	"expected boolean":        "Must be a valid boolean.",
	"invalid boolean":         "Must be a valid boolean.",
	"expected array":          "Expected a list of items.",
	"expected object":         "Invalid data. Expected a dictionary.",
	"unknown query parameter": "Unknown parameter.",
	"unexpected property":     "Unknown field.",
	"expected value to match exactly one schema but matched none":  "Not a valid value.",
	"expected value to match at least one schema but matched none": "Not a valid value.",
}

func drfMessage(detail *huma.ErrorDetail) string {
	message := detail.Message
	if detail.Value == nil && strings.HasPrefix(message, "expected ") && !strings.HasPrefix(message, "expected required property") {
		return "This field may not be null."
	}
	if text, ok := fixedMessages[message]; ok {
		return text
	}
	if found := bound.FindStringSubmatch(message); found != nil {
		return boundMessage(found[1], found[2], found[3])
	}
	switch {
	case strings.HasPrefix(message, "expected required property"), strings.HasPrefix(message, "required "):
		return "This field is required."
	case strings.HasPrefix(message, "expected value to be one of"):
		return fmt.Sprintf("%q is not a valid choice.", fmt.Sprint(detail.Value))
	case strings.Contains(message, "uuid"):
		return "Must be a valid UUID."
	case strings.Contains(message, "email"):
		return "Enter a valid email address."
	}
	return "Not a valid value."
}

func boundMessage(what, comparison, limit string) string {
	switch {
	case what == "length" && comparison == ">=" && limit == "1":
		return "This field may not be blank."
	case what == "length" && comparison == ">=":
		return "Ensure this field has at least " + limit + " characters."
	case what == "length":
		return "Ensure this field has no more than " + limit + " characters."
	case what == "number" && strings.HasPrefix(comparison, ">"):
		return "Ensure this value is greater than or equal to " + limit + "."
	case what == "number":
		return "Ensure this value is less than or equal to " + limit + "."
	case comparison == ">=":
		return "Ensure this field has at least " + limit + " elements."
	default:
		return "Ensure this field has no more than " + limit + " elements."
	}
}
