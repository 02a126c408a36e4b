package http1

import "github.com/portico-web/portico/proxy/message"

type Answer struct {
	Version message.Version
	Head    bool
	Close   bool
	Date    []byte
}

func AppendRequest(dst []byte, head *message.Head) []byte { return dst }

func AppendResponse(dst []byte, head *message.Head, a Answer) (out []byte, chunked bool) {
	return dst, false
}

func AppendChunk(dst, content []byte) []byte                     { return dst }
func AppendChunkHeader(dst []byte, size int) []byte              { return dst }
func AppendLastChunk(dst []byte, trailer *message.Fields) []byte { return dst }
