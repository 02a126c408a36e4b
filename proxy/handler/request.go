// Package handler lets net/http's handlers serve a stream: files, pages, failures, challenges. What is forwarded does
// without it.
package handler

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/portico-web/portico/proxy/message"
)

// Request is a stream's request as net/http has it, under an escaped path. It is valid as long as the stream.
func Request(ctx context.Context, stream message.Stream, path string) *http.Request {
	head := stream.Head()
	r := &http.Request{
		Method:        head.Method,
		URL:           address(path, head),
		Proto:         head.Version.String(),
		Header:        make(http.Header, head.Len()),
		Body:          http.NoBody,
		ContentLength: head.Length,
		Host:          head.Authority,
		RemoteAddr:    stream.Peer().String(),
		TLS:           stream.TLS(),
	}
	r.ProtoMajor, r.ProtoMinor, _ = http.ParseHTTPVersion(r.Proto)
	r.RequestURI = r.URL.RequestURI()
	for _, field := range head.All() {
		name := http.CanonicalHeaderKey(string(field.Name))
		r.Header[name] = append(r.Header[name], string(field.Value))
	}
	if head.Length != 0 {
		r.Body = &content{body: stream.Body()}
	}
	return r.WithContext(ctx)
}

func address(path string, head *message.Head) *url.URL {
	address := &url.URL{Path: path, RawQuery: head.Query, ForceQuery: head.HasQuery && head.Query == ""}
	if decoded, err := url.PathUnescape(path); err == nil && decoded != path {
		address.Path, address.RawPath = decoded, path
	}
	return address
}

// content is a message.Body as net/http reads it.
type content struct {
	body message.Body
	rest []byte
}

func (c *content) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		var err error
		if c.rest, err = c.body.Next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *content) Close() error { return nil }

var _ io.ReadCloser = (*content)(nil)
