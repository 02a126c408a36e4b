package proxy

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/portico-web/portico/proxy/message"
)

// The statuses of gRPC that the edge answers with.
const (
	grpcDeadlineExceeded  = 4
	grpcPermissionDenied  = 7
	grpcResourceExhausted = 8
	grpcUnimplemented     = 12
	grpcInternal          = 13
	grpcUnavailable       = 14
	grpcUnauthenticated   = 16
)

// isGRPC tells whether a request is a call of gRPC, whose client reads failures in its own terms only.
func isGRPC(request *message.Head) bool {
	kind := request.Get(message.ContentType)
	return request.Version == message.HTTP2 && bytes.HasPrefix(kind, grpcType) &&
		(len(kind) == len(grpcType) || kind[len(grpcType)] == '+' || kind[len(grpcType)] == ';')
}

var grpcType = []byte("application/grpc")

// grpcStatusField stands in a head only if that is the trailers as well: without a message, mostly for a failure.
const grpcStatusField = "grpc-status"

// failGRPC answers with a failure as gRPC has them: a head that is the trailers as well (Trailers-Only). The log tells the
// status of HTTP that others would be answered with.
func (x *exchange) failGRPC(status int, text string) {
	code := grpcStatus(status)
	if timeout, given := grpcTimeout(x.Head().Lookup("grpc-timeout")); given && time.Since(x.start) >= timeout-grpcEarly {
		code = grpcDeadlineExceeded // whatever failed, did for that
	}
	head := &message.Head{Status: http.StatusOK, Length: message.Unknown}
	head.AddBytes(message.ContentType, grpcType)
	head.Add(message.CacheControl, "no-store") // a shared cache would take it for a success
	head.AddNamed(grpcStatusField, strconv.Itoa(code))
	head.AddNamed("grpc-message", grpcText(text))
	x.answerBare(head)
	x.status = status
}

// grpcEarly is by how much an upstream's clock may seem to run ahead: its time for a call began later than the client's.
const grpcEarly = 10 * time.Millisecond

func grpcStatus(status int) int {
	switch status {
	case http.StatusUnauthorized:
		return grpcUnauthenticated
	case http.StatusForbidden:
		return grpcPermissionDenied
	case http.StatusNotFound:
		return grpcUnimplemented
	case http.StatusTooManyRequests, http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge:
		return grpcResourceExhausted
	case http.StatusGatewayTimeout:
		return grpcDeadlineExceeded
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return grpcUnavailable
	default:
		return grpcInternal
	}
}

// grpcTimeout reads what a client says it waits: up to eight digits and a unit.
func grpcTimeout(text []byte) (timeout time.Duration, given bool) {
	if len(text) < 2 || len(text) > 9 {
		return 0, false
	}
	units := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}
	unit, known := units[text[len(text)-1]]
	number, err := strconv.ParseUint(string(text[:len(text)-1]), 10, 32)
	if err != nil || !known || number > uint64(1<<62/unit) {
		return 0, false
	}
	return time.Duration(number) * unit, true
}

// grpcText escapes what may not stand in grpc-message.
func grpcText(text string) string {
	var out []byte
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' || c == '%' {
			out = fmt.Appendf(out, "%%%02X", c)
		} else {
			out = append(out, c)
		}
	}
	return string(out)
}
