package httpx

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/portico-web/portico/internal/fault"
)

const (
	// HeaderCSRF and FieldCSRF are the two ways in which a client sends its CSRF token.
	HeaderCSRF = "X-CSRFToken"
	FieldCSRF  = "csrfmiddlewaretoken"
	// maxFormFields bounds the names in one form.
	maxFormFields = 1000
)

// FormToJSON lets an API that reads JSON take forms too, as Django REST framework does: a urlencoded or multipart body goes on
// as a JSON object of strings. Of a name given twice the last value counts; files are left out; a CSRF token moves to its
// header. Bodies of other types are answered 415, broken ones 400. It wraps API routes only: pages read forms themselves.
// The body must already be bounded; passing the bound is answered 413.
func FormToJSON(next http.Handler) http.Handler {
	log := slog.New(slog.DiscardHandler) // every error here is the client's, and tells all there is to tell
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		kind := r.Header.Get("Content-Type")
		media, params, err := mime.ParseMediaType(kind)
		if err == nil && isJSON(media) {
			next.ServeHTTP(w, r)
			return
		}
		body, readErr := io.ReadAll(r.Body)
		if readErr != nil {
			WriteError(w, r, log, unreadable(readErr))
			return
		}
		if len(body) == 0 {
			next.ServeHTTP(w, withBody(r, nil, ""))
			return
		}
		var values url.Values
		switch {
		case err != nil || !isUTF8(params["charset"]):
			err = unsupported(kind)
		case media == "application/x-www-form-urlencoded":
			values, err = parseURLEncoded(body)
		case media == "multipart/form-data":
			values, err = parseMultipart(body, params["boundary"])
		default:
			err = unsupported(kind)
		}
		if err != nil {
			WriteError(w, r, log, err)
			return
		}
		next.ServeHTTP(w, formRequest(r, values))
	})
}

func isJSON(media string) bool {
	return media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
}

func isUTF8(charset string) bool {
	return charset == "" || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "us-ascii")
}

func unsupported(kind string) error {
	if len(kind) > 100 {
		kind = kind[:100]
	}
	return fault.New(fault.UnsupportedMedia, fmt.Sprintf("Unsupported media type %s in request.", strconv.QuoteToASCII(kind)))
}

func unreadable(err error) error {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return fault.New(fault.TooLarge, "Request body is too large.")
	}
	return fault.Wrap(fault.Invalid, "The request body could not be read.", err)
}

func parseURLEncoded(body []byte) (url.Values, error) {
	if bytes.Count(body, []byte("&")) >= maxFormFields {
		return nil, fault.New(fault.Invalid, "Form parse error - too many fields")
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "Form parse error - malformed", err)
	}
	return values, nil
}

func parseMultipart(body []byte, boundary string) (url.Values, error) {
	if boundary == "" {
		return nil, fault.New(fault.Invalid, "Multipart form parse error - Invalid boundary in multipart: None")
	}
	values := url.Values{}
	reader := multipart.NewReader(bytes.NewReader(body), boundary)
	for fields := 0; ; fields++ {
		part, err := reader.NextPart()
		if err == io.EOF && fields > 0 { //nolint:errorlint // the end is io.EOF itself; wrapped, it is a body cut off
			return values, nil
		}
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, "Multipart form parse error - malformed", err)
		}
		if fields == maxFormFields {
			return nil, fault.New(fault.Invalid, "Multipart form parse error - too many fields")
		}
		name := part.FormName()
		if name == "" || part.FileName() != "" {
			continue
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, "Multipart form parse error - malformed", err)
		}
		values.Add(name, string(value))
	}
}

// formRequest is r with the form as its JSON body. Bytes that are not UTF-8 become U+FFFD.
func formRequest(r *http.Request, values url.Values) *http.Request {
	object := make(map[string]string, len(values))
	for name, all := range values {
		object[name] = all[len(all)-1]
	}
	proof, sent := object[FieldCSRF]
	delete(object, FieldCSRF)
	body, err := json.Marshal(object)
	if err != nil { // strings always marshal
		panic(fmt.Sprintf("httpx: %v", err))
	}
	changed := withBody(r, body, "application/json")
	if sent && changed.Header.Get(HeaderCSRF) == "" {
		changed.Header.Set(HeaderCSRF, proof)
	}
	return changed
}

func withBody(r *http.Request, body []byte, kind string) *http.Request {
	changed := r.WithContext(r.Context())
	changed.Header = r.Header.Clone()
	if kind == "" {
		changed.Header.Del("Content-Type")
	} else {
		changed.Header.Set("Content-Type", kind)
	}
	changed.Header.Set("Content-Length", strconv.Itoa(len(body)))
	changed.ContentLength = int64(len(body))
	changed.TransferEncoding = nil
	changed.Body = io.NopCloser(bytes.NewReader(body))
	return changed
}
