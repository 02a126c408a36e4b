package proxy

import (
	"bytes"
	"net/http"
	"strconv"

	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/proxy/message"
)

// errorPages are a site's pages for failures, by status; nil where the edge's own is shown.
type errorPages func(status int) []byte

// errorPage is the page of the request's site for a failure, filled in; nil when it has none, or the client wants none.
func (x *exchange) errorPage(status int) []byte {
	if x.site == nil {
		return nil
	}
	page := x.site.Value.errorPages(status)
	if page == nil || !httpx.WantsPage(string(x.Head().Get(message.Accept))) {
		return nil
	}
	page = bytes.ReplaceAll(page, []byte("{status}"), strconv.AppendInt(nil, int64(status), 10))
	return bytes.ReplaceAll(page, []byte("{request_id}"), x.requestID)
}

// writeFailure lets w tell of a failure: by the site's page, the edge's own, or JSON.
func (x *exchange) writeFailure(w http.ResponseWriter, r *http.Request, status int, text string, values ...any) {
	page := x.errorPage(status)
	if page == nil {
		httpx.WriteFailure(w, r, status, text, values...)
		return
	}
	header := w.Header()
	header.Add("Vary", "Accept")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(page)
}

// intercept answers with the site's page in the place of an upstream's failure. What the upstream writes then is dropped; of
// its fields stay those that say what the client may do.
func (x *exchange) intercept(failed *message.Head, page []byte) error {
	head := &message.Head{Status: failed.Status, Length: int64(len(page))}
	for _, field := range failed.All() {
		switch field.ID {
		case message.SetCookie, message.RetryAfter, message.RateLimitLimit, message.RateLimitRemaining, message.RateLimitReset, message.RateLimitPolicy:
		default:
			if !field.Is("WWW-Authenticate") && !field.Is("Allow") {
				continue
			}
		}
		head.AddStored(field.ID, field.Name, field.Value)
	}
	head.Add(message.Vary, "Accept")
	head.Add(message.CacheControl, "no-store")
	head.Add(message.ContentType, "text/html; charset=utf-8")
	if err := x.send(head); err != nil {
		return err
	}
	x.intercepted = true
	if x.Head().Method == http.MethodHead {
		return nil
	}
	x.bytes += int64(len(page))
	_, err := x.Stream.Write(page)
	return err
}
