package server_test

import (
	"strings"
	"testing"
)

func TestAConnectionCarriesOneRequestAfterTheOther(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: echo})
	for _, secure := range []bool{false, true} {
		c := e.dial(secure)
		for range 3 {
			response := c.send("GET /a?b HTTP/1.1\r\nHost: edge.test\r\n\r\n").expect(200, "GET /a?b ")
			if response.Close || response.Header.Get("Date") == "" {
				t.Errorf("Connection: close %v, Date %q", response.Close, response.Header.Get("Date"))
			}
		}
		c.send("POST /p HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 5\r\n\r\nhello").expect(200, "POST /p hello")
		c.send("POST /p HTTP/1.1\r\nHost: edge.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n").expect(200, "POST /p hello")
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: echo})
	c := e.dial(false)
	c.send(strings.Repeat("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 3))
	for range 3 {
		c.expect(200, "GET /1 ")
		c.expect(200, "POST /2 x")
	}
}
