package http2

import "encoding/binary"

// frameType is a type of frame (RFC 9113 section 6, RFC 9218 section 7.1).
type frameType uint8

const (
	frameData         frameType = 0x0
	frameHeaders      frameType = 0x1
	framePriority     frameType = 0x2
	frameRSTStream    frameType = 0x3
	frameSettings     frameType = 0x4
	framePushPromise  frameType = 0x5
	framePing         frameType = 0x6
	frameGoAway       frameType = 0x7
	frameWindowUpdate frameType = 0x8
	frameContinuation frameType = 0x9

	framePriorityUpdate frameType = 0x10
)

const (
	flagEndStream  = 0x1 // of DATA and HEADERS
	flagAck        = 0x1 // of SETTINGS and PING
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

const (
	frameHeaderSize = 9
	// maxFrameSize is the largest payload that the other end may send: the smallest bound there is (RFC 9113 section 4.2).
	maxFrameSize = 16 << 10
	// dataSize is the most content that one frame carries, which then just fills a TLS record.
	dataSize      = maxFrameSize - frameHeaderSize
	maxWindow     = 1<<31 - 1
	maxStream     = 1<<31 - 1
	initialWindow = 65535 // what windows have before SETTINGS
)

// Preface is what every client says first (RFC 9113 section 3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

type frameHeader struct {
	length int
	kind   frameType
	flags  uint8
	stream uint32
}

func (h *frameHeader) has(flag uint8) bool { return h.flags&flag != 0 }

func parseFrameHeader(b []byte) frameHeader {
	return frameHeader{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		kind:   frameType(b[3]),
		flags:  b[4],
		stream: binary.BigEndian.Uint32(b[5:]) & maxStream,
	}
}

func appendFrameHeader(dst []byte, length int, kind frameType, flags uint8, stream uint32) []byte {
	return append(dst, byte(length>>16), byte(length>>8), byte(length), byte(kind), flags,
		byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
}

// unpad takes the padding off a payload (RFC 9113 section 6.1).
func (h *frameHeader) unpad(payload []byte) ([]byte, bool) {
	if !h.has(flagPadded) {
		return payload, true
	}
	if len(payload) == 0 || int(payload[0]) >= len(payload) {
		return nil, false
	}
	return payload[1 : len(payload)-int(payload[0])], true
}

func appendRSTStream(dst []byte, stream uint32, code ErrCode) []byte {
	return binary.BigEndian.AppendUint32(appendFrameHeader(dst, 4, frameRSTStream, 0, stream), uint32(code))
}

func appendWindowUpdate(dst []byte, stream uint32, increment int) []byte {
	return binary.BigEndian.AppendUint32(appendFrameHeader(dst, 4, frameWindowUpdate, 0, stream), uint32(increment))
}

func appendPing(dst []byte, flags uint8, data [8]byte) []byte {
	return append(appendFrameHeader(dst, 8, framePing, flags, 0), data[:]...)
}

func appendGoAway(dst []byte, last uint32, code ErrCode) []byte {
	dst = appendFrameHeader(dst, 8, frameGoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, last)
	return binary.BigEndian.AppendUint32(dst, uint32(code))
}

// appendBlock appends a field block as HEADERS and, where it is larger than a frame of the other end may be, CONTINUATION.
func appendBlock(dst []byte, stream uint32, block []byte, frameSize int, flags uint8) []byte {
	kind := frameHeaders
	for {
		part := block
		if len(part) > frameSize {
			part = part[:frameSize]
		}
		block = block[len(part):]
		if len(block) == 0 {
			flags |= flagEndHeaders
		}
		dst = append(appendFrameHeader(dst, len(part), kind, flags, stream), part...)
		if len(block) == 0 {
			return dst
		}
		kind, flags = frameContinuation, 0
	}
}
