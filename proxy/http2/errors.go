package http2

import (
	"errors"
	"strconv"
)

// ErrCode is why a stream or a connection ends (RFC 9113 section 7).
type ErrCode uint32

// The error codes.
const (
	NoError            ErrCode = 0x0
	ProtocolError      ErrCode = 0x1
	InternalError      ErrCode = 0x2
	FlowControlError   ErrCode = 0x3
	SettingsTimeout    ErrCode = 0x4
	StreamClosed       ErrCode = 0x5
	FrameSizeError     ErrCode = 0x6
	RefusedStream      ErrCode = 0x7
	Cancel             ErrCode = 0x8
	CompressionError   ErrCode = 0x9
	ConnectError       ErrCode = 0xa
	EnhanceYourCalm    ErrCode = 0xb
	InadequateSecurity ErrCode = 0xc
	HTTP11Required     ErrCode = 0xd
)

var codeNames = [...]string{
	"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
	"REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
}

func (c ErrCode) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "error code " + strconv.Itoa(int(c))
}

// ConnectionError ends a connection. Reason is for the log: constant text.
type ConnectionError struct {
	Code   ErrCode
	Reason string
	Remote bool // the other end said so
}

func (e *ConnectionError) Error() string {
	return "HTTP/2 connection: " + e.Code.String() + ": " + e.Reason
}

// StreamError ends a stream. Reason is for the log: constant text.
type StreamError struct {
	Code   ErrCode
	Reason string
	Remote bool // the other end said so
}

func (e *StreamError) Error() string { return "HTTP/2 stream: " + e.Code.String() + ": " + e.Reason }

// errClosed says that the connection was closed by this end.
var errClosed = errors.New("the HTTP/2 connection is closed")

func violation(reason string) *ConnectionError {
	return &ConnectionError{Code: ProtocolError, Reason: reason}
}

func excess(reason string) *ConnectionError {
	return &ConnectionError{Code: EnhanceYourCalm, Reason: reason}
}

var (
	errFrameSize    = &ConnectionError{Code: FrameSizeError, Reason: "a frame of a wrong size"}
	errPadding      = violation("padding that is longer than its frame")
	errNoSettings   = violation("the first frame is not SETTINGS")
	errIdleStream   = violation("a frame on a stream that was not opened")
	errStreamZero   = violation("a frame on stream 0 that belongs to a stream")
	errNotZero      = violation("a frame on a stream that belongs to the connection")
	errInterleaved  = violation("a frame between the parts of a field block")
	errContinued    = violation("CONTINUATION that continues nothing")
	errPush         = violation("PUSH_PROMISE")
	errIncrement    = violation("a window update of 0")
	errWindow       = &ConnectionError{Code: FlowControlError, Reason: "a window of more than 2^31-1"}
	errOverrun      = &ConnectionError{Code: FlowControlError, Reason: "more content than the connection's window"}
	errSetting      = violation("a setting with a value that it cannot have")
	errCompression  = &ConnectionError{Code: CompressionError, Reason: "a field block that cannot be decompressed"}
	errStreamID     = violation("a stream id that a client may not use")
	errClosedStream = &ConnectionError{Code: StreamClosed, Reason: "a field block on a stream that is closed"}

	errBlockSize = excess("a field block that is too large")
	errBlockPart = excess("a field block in too many frames")
	errSettings  = excess("too many settings in a frame")
	errResets    = excess("too many streams that were reset")
	errControl   = excess("too many frames without content")
	errAnswers   = excess("too many frames that want an answer, which is not read")
)

// Untouched tells whether a stream ended because the server did not look at the request, which can be sent again.
func Untouched(err error) bool {
	fault, ofStream := errors.AsType[*StreamError](err)
	return ofStream && fault.Remote && fault.Code == RefusedStream
}

// Lost tells whether a stream ended because its connection did, and not for what came over it.
func Lost(err error) bool {
	_, ofStream := errors.AsType[*StreamError](err)
	_, ofConnection := errors.AsType[*ConnectionError](err)
	return !ofStream && !ofConnection
}

// Malformed tells whether a stream ended because what the server sent is not HTTP/2, or no answer.
func Malformed(err error) bool {
	ofStream, _ := errors.AsType[*StreamError](err)
	ofConnection, _ := errors.AsType[*ConnectionError](err)
	return ofStream != nil && !ofStream.Remote || ofConnection != nil && !ofConnection.Remote
}
