package forward

import (
	"bytes"

	"github.com/portico-web/portico/proxy/guard"
	"github.com/portico-web/portico/proxy/message"
)

// cleanAnswer takes away what only the edge may say.
func cleanAnswer(head *message.Head) {
	head.Del(message.XRequestID) // the edge's own stands on every answer
	head.Del(message.AltSvc)
	head.Del(message.ProxyAuthenticate) // the edge is no proxy of the client's (RFC 9110 section 11.7.1)
}

// isEventStream tells whether an answer is a stream of server-sent events.
func isEventStream(head *message.Head) bool {
	kind, _, _ := bytes.Cut(head.Get(message.ContentType), []byte(";"))
	return message.EqualFold(bytes.TrimSpace(kind), "text/event-stream")
}

// cleanTrailer takes out of a trailer section what has no business there: what a head would have to say, and what says who
// the client is. Names with an underscore could be read as one of them.
func cleanTrailer(trailer *message.Fields) *message.Fields {
	if trailer == nil {
		return nil
	}
	trailer.DeleteFunc(func(field *message.Field) bool { return !field.MayTrail() || guard.FieldDropped(field, false) })
	if trailer.Len() == 0 {
		return nil
	}
	return trailer
}
