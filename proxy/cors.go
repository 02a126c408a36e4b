package proxy

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/proxy/guard"
	"github.com/portico-web/portico/proxy/message"
)

// cors is a route's cors made ready: what the edge says on its answers to pages of other origins, whatever the upstream says.
type cors struct {
	origins     *guard.Origins
	credentials bool
	anyHeader   bool
	methods     string
	headers     string
	expose      string
	maxAge      string // in seconds
}

func newCORS(configured *config.CORS) *cors {
	return &cors{
		origins:     configured.Allowed(),
		credentials: configured.Credentials,
		anyHeader:   len(configured.Headers) == 1 && configured.Headers[0] == "*",
		methods:     strings.Join(configured.Methods, ", "),
		headers:     strings.Join(configured.Headers, ", "),
		expose:      strings.Join(configured.Expose, ", "),
		maxAge:      strconv.Itoa(int(configured.MaxAge.Seconds())),
	}
}

const (
	requestMethod  = "Access-Control-Request-Method"
	requestHeaders = "Access-Control-Request-Headers"
)

// isPreflight tells whether a browser asks what a page may do. It cannot authenticate while it does.
func isPreflight(request *message.Head) bool {
	return request.Method == http.MethodOptions && request.Get(message.Origin) != nil && request.Lookup(requestMethod) != nil
}

// answerPreflight is the policy: mark says the rest.
func answerPreflight(x *exchange) bool {
	if !isPreflight(x.Head()) {
		return true
	}
	x.noContent()
	return false
}

// mark puts on an answer what the page may do with it.
func (c *cors) mark(request, answer *message.Head) {
	answer.DeleteFunc(accessControl)
	preflight := isPreflight(request)
	switch {
	case preflight:
		answer.Add(message.Vary, "Origin, "+requestMethod+", "+requestHeaders)
	case !c.origins.Any() && !answer.Lists(message.Vary, "Origin") && !answer.Lists(message.Vary, "*"):
		answer.Add(message.Vary, "Origin")
	}
	origin := string(request.Get(message.Origin))
	if origin == "" || request.Count(message.Origin) != 1 || !c.origins.Holds(origin) {
		return
	}
	if c.origins.Any() {
		origin = "*"
	}
	answer.AddNamed("Access-Control-Allow-Origin", origin)
	if c.credentials {
		answer.AddNamed("Access-Control-Allow-Credentials", "true")
	}
	if !preflight {
		addUnlessEmpty(answer, "Access-Control-Expose-Headers", c.expose)
		return
	}
	headers := c.headers
	if c.anyHeader {
		headers = string(request.Lookup(requestHeaders))
	}
	addUnlessEmpty(answer, "Access-Control-Allow-Headers", headers)
	answer.AddNamed("Access-Control-Allow-Methods", c.methods)
	answer.AddNamed("Access-Control-Max-Age", c.maxAge)
}

func addUnlessEmpty(head *message.Head, name, value string) {
	if value != "" {
		head.AddNamed(name, value)
	}
}

func accessControl(field *message.Field) bool {
	return hasPrefix(field.Name, "access-control-")
}
