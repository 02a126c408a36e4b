package proxy

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/proxy/message"
)

// fieldEdits is a config.FieldEdits made ready: what is taken away, and what is put in then.
type fieldEdits struct {
	removed []message.Field // their names
	added   []message.Field
}

// newFieldEdits makes edits ready that follow each other, a site's and a route's; nil when there are none.
func newFieldEdits(edits ...config.FieldEdits) *fieldEdits {
	made := &fieldEdits{}
	for _, next := range edits {
		if !next.Some() {
			continue
		}
		for _, name := range append(slices.Sorted(maps.Keys(next.Set)), next.Remove...) {
			made.added = slices.DeleteFunc(made.added, func(field message.Field) bool { return field.Is(name) })
			made.removed = append(made.removed, staticField(name, ""))
		}
		for _, values := range []map[string]string{next.Set, next.Add} {
			for _, name := range slices.Sorted(maps.Keys(values)) {
				made.added = append(made.added, staticField(name, values[name]))
			}
		}
	}
	if len(made.removed)+len(made.added) == 0 {
		return nil
	}
	return made
}

// staticField is a field that stays as it is, and may stand in many heads.
func staticField(name, value string) message.Field {
	return message.Field{ID: message.Known(name), Name: []byte(name), Value: []byte(value)}
}

// apply edits the fields; a nil one does nothing.
func (e *fieldEdits) apply(fields *message.Fields) {
	if e == nil {
		return
	}
	if len(e.removed) > 0 {
		fields.DeleteFunc(e.removes)
	}
	for i := range e.added {
		fields.AddStored(e.added[i].ID, e.added[i].Name, e.added[i].Value)
	}
}

func (e *fieldEdits) removes(field *message.Field) bool { return e != nil && named(e.removed, field) }

// names tells whether a field of this name is put in or taken away.
func (e *fieldEdits) names(field *message.Field) bool {
	return e != nil && (named(e.removed, field) || named(e.added, field))
}

func named(list []message.Field, field *message.Field) bool {
	for i := range list {
		if list[i].ID == field.ID && (field.ID != message.Other || message.EqualFold(field.Name, string(list[i].Name))) {
			return true
		}
	}
	return false
}

// answerFields is what a site or one of its routes wants to stand on its answers. It is never changed.
type answerFields struct {
	cacheControl string // "": what the answer says
	edits        *fieldEdits
	careful      []message.Field // security headers, for answers that lack them
	pinned       *message.Field  // Strict-Transport-Security; nil for none
}

// newAnswerFields makes the fields of a site's answers ready.
func newAnswerFields(site *config.Site) *answerFields {
	return makeAnswerFields(newFieldEdits(site.ResponseHeaders), site.SecurityHeaders)
}

// ofRoute is what the site's become by what one of its routes says.
func (a *answerFields) ofRoute(site *config.Site, route *config.Route) *answerFields {
	if route.CacheControl == "" && !route.ResponseHeaders.Some() {
		return a
	}
	made := makeAnswerFields(newFieldEdits(site.ResponseHeaders, route.ResponseHeaders), site.SecurityHeaders)
	made.cacheControl = route.CacheControl
	return made
}

func makeAnswerFields(edits *fieldEdits, wanted config.SecurityHeaders) *answerFields {
	made := &answerFields{edits: edits}
	for _, field := range []message.Field{
		staticField("X-Content-Type-Options", wanted.ContentTypeOptions),
		staticField("Referrer-Policy", wanted.ReferrerPolicy),
		staticField("X-Frame-Options", wanted.FrameOptions),
		staticField("Content-Security-Policy", wanted.ContentSecurityPolicy),
		staticField("Permissions-Policy", wanted.PermissionsPolicy),
	} {
		if len(field.Value) > 0 && !edits.names(&field) {
			made.careful = append(made.careful, field)
		}
	}
	pinned := staticField("Strict-Transport-Security", wanted.StrictTransportSecurity)
	if len(pinned.Value) > 0 && !edits.names(&pinned) {
		made.pinned = &pinned
	}
	return made
}

// apply puts the fields on an answer to x.
func (a *answerFields) apply(x *exchange, head *message.Head) {
	if a.cacheControl != "" && storable(x, head) {
		head.Set(message.CacheControl, a.cacheControl)
	}
	a.edits.apply(&head.Fields)
	for i := range a.careful {
		field := &a.careful[i]
		if head.Get(field.ID) != nil || field.ID == message.XFrameOptions && restrictsFrames(head) {
			continue
		}
		head.AddStored(field.ID, field.Name, field.Value)
	}
	if a.pinned != nil && x.proto == "https" && pinnable(x.host) && head.Get(a.pinned.ID) == nil {
		head.AddStored(a.pinned.ID, a.pinned.Name, a.pinned.Value)
	}
}

// storable tells whether an answer is one that a route's cache_control is meant for: no failure, in the terms of gRPC neither, not
// what somebody is told who may not pass, such as the way to a login, and nothing that sets a cookie, which a shared cache would
// give to others.
func storable(x *exchange, head *message.Head) bool {
	return head.Status < 400 && head.Lookup(grpcStatusField) == nil && x.refusal == "" && x.canaryAssigned == "" && head.Get(message.SetCookie) == nil
}

// restrictsFrames tells whether the answer's own policy says who may frame it, for which X-Frame-Options is the older way.
func restrictsFrames(head *message.Head) bool {
	for _, field := range head.All() {
		if field.ID == message.ContentSecurityPolicy && bytes.Contains(field.Value, []byte("frame-ancestors")) {
			return true
		}
	}
	return false
}

// pinnable tells whether a host may be told to be reached by HTTPS alone. That holds for all its ports: so a localhost is
// not, whose other ports are other programs' (RFC 6797 section 8.1.1 has addresses left out).
func pinnable(host string) bool {
	last := host[len(host)-1]
	address := '0' <= last && last <= '9' || strings.Contains(host, ":")
	return !address && host != "localhost" && !strings.HasSuffix(host, ".localhost")
}
