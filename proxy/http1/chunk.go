package http1

import (
	"strconv"

	"github.com/portico-web/portico/proxy/message"
)

// AppendChunk appends content as one chunk; nothing when it is empty, since an empty chunk ends a message.
func AppendChunk(dst, content []byte) []byte {
	if len(content) == 0 {
		return dst
	}
	dst = AppendChunkHeader(dst, len(content))
	dst = append(dst, content...)
	return append(dst, "\r\n"...)
}

// AppendChunkHeader appends what stands before the data of a chunk of size bytes, at least 1. CRLF has to follow the data.
func AppendChunkHeader(dst []byte, size int) []byte {
	dst = strconv.AppendUint(dst, uint64(size), 16)
	return append(dst, "\r\n"...)
}

// AppendLastChunk appends the end of chunked content, with those fields of trailer, which may be nil, that may stand there.
func AppendLastChunk(dst []byte, trailer *message.Fields) []byte {
	dst = append(dst, "0\r\n"...)
	if trailer != nil {
		for i := range trailer.All() {
			field := &trailer.All()[i]
			if field.MayTrail() && token(field.Name) {
				dst = appendField(dst, field)
			}
		}
	}
	return append(dst, "\r\n"...)
}
