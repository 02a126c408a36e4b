// Command edge measures the edge beside nginx, HAProxy and Caddy on this machine.
//
//	go run ./bench/edge
//	go run ./bench/edge --modes idle,soak --peers nginx
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

const description = `Measures Portico's edge beside nginx, HAProxy and Caddy on this machine, over the same backend and with the same
certificate. It builds the edge from this checkout and takes what is installed of the others; on Debian:

  apt-get install nginx haproxy wrk nghttp2-client
  go install github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9

For every mode and proxy it prints requests per second, the CPU time that the proxy's own processes spent on a request (the
figure to compare: it holds on a machine that does other things as well), the 99th percentile of the latency, the resident
memory, and how many answers were bad. Behind each peer stands the edge's CPU time divided by the peer's: below 1 the edge is
cheaper.

Modes:
  h1       HTTP/1.1 over TLS, 64 connections, answers of 0.9 KB
  h1-log   the same; the edge with its access log and a rate limit, the others as in h1
  h1-64k   answers of 64 KB
  h1-new   a new connection, with its TLS handshake, for each request
  h2       HTTP/2, 32 connections of 8 streams
  idle     memory that one idle TLS connection costs: many are opened by another process and left alone for a minute
  soak     memory after a tenth, a half and all of many requests: it should not grow

Examples:
  go run ./bench/edge --rounds 3 --markdown
  go run ./bench/edge --modes h1,h1-log --peers nginx --seconds 10
  go run ./bench/edge --modes idle,soak --peers nginx,caddy`

// command is what the program does.
type command interface {
	Run(ctx context.Context) error
}

func main() {
	var does command = &compareCommand{}
	arguments := os.Args[1:]
	// The two helpers that it starts itself.
	switch {
	case len(arguments) > 0 && arguments[0] == "backend":
		does, arguments = &backendCommand{}, arguments[1:]
	case len(arguments) > 0 && arguments[0] == "hold":
		does, arguments = &holdCommand{}, arguments[1:]
	}
	parser := kong.Must(does, kong.Name("edge"), kong.Description(description))
	_, err := parser.Parse(arguments)
	parser.FatalIfErrorf(err)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parser.FatalIfErrorf(does.Run(ctx))
}
