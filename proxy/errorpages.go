package proxy

import (
	"errors"
	"net/http"
	"time"

	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/proxy/message"
)

// errorPages are a site's pages for failures, by status; nil where the edge's own is shown.
type errorPages func(status int) []byte

// errorPage is the page of the request's site for a failure; nil when it has none, or the client wants none.
func (x *exchange) errorPage(status int) []byte {
	if x.site == nil {
		return nil
	}
	page := x.site.Value.errorPages(status)
	if page == nil || !httpx.WantsPage(string(x.Head().Get(message.Accept))) {
		return nil
	}
	return page
}

// writeFailure lets w tell of a failure: by the site's page, the edge's own, or JSON.
func (x *exchange) writeFailure(w http.ResponseWriter, r *http.Request, status int, text string, values ...any) {
	if page := x.errorPage(status); page != nil {
		x.told = true
		httpx.WriteFailurePage(w, r, page, status, text, values...)
		return
	}
	httpx.WriteFailure(w, r, status, text, values...)
}

// The most that is taken of a failure whose place a page has taken, so that the upstream's connection can be used again: beyond
// it the connection is closed.
const (
	maxDropped = 64 << 10
	dropWithin = time.Second
)

var errDropped = errors.New("a failure that a page stands for has no end")

// intercept answers with the site's page in the place of an upstream's failure, whole: whatever the upstream writes then is
// dropped. Of its fields stay those that say what the client may do.
func (x *exchange) intercept(failed *message.Head, page []byte) error {
	page = httpx.FillPage(page, failed.Status, "", string(x.requestID))
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
	if x.Head().Method != http.MethodHead {
		x.bytes += int64(len(page))
		if _, err := x.Stream.Write(page); err != nil {
			return err
		}
	}
	if err := x.Stream.End(nil); err != nil {
		return err
	}
	x.intercepted, x.dropUntil = true, time.Now().Add(dropWithin)
	return nil
}

// drop takes content of a failure that was intercepted, or notes that more of it is waited for.
func (x *exchange) drop(length int) error {
	if x.dropped += length; x.dropped > maxDropped || time.Now().After(x.dropUntil) {
		return errDropped
	}
	return nil
}
