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

For every mode and proxy it prints the CPU time that the proxy's own processes spent on a request (the figure to compare: it
holds on a machine that does other things as well), requests per second, the 99th percentile of the latency, the resident
memory, and how many answers were bad, if any. Behind a peer's CPU time and throughput stands, in parentheses, the edge's
divided by it.

Modes under load, on proxies that run all along:
  h1           HTTP/1.1 over TLS, 64 connections, answers of 0.9 KB
  h1-log       the same; the edge with its access log and a rate limit, the others as in h1
  h1-64k       answers of 64 KB
  h1-new       a new connection, with its TLS handshake, for each request
  h2           HTTP/2, 32 connections of 8 streams
  h2-log       the same; the edge with its access log and a rate limit, the others as in h2
  h3           HTTP/3, 32 connections of 8 streams; of the others Caddy speaks it

Modes with a new proxy for each measurement, whose peak of resident memory is told:
  h2-transfer  1 GiB down and up over one connection of HTTP/2: on one stream, and on 100 at once. MB/s and CPU time
  h2-stall     50 busy streams of one connection: alone, beside a stream that is read byte by byte, and beside a connection
               that is not read at all. MB/s and the 99th percentile of the busy ones
  h2-flood     how another client is served, at 200 requests per second, without and during each of ten floods of one
               client that comes again when it is thrown out. Latencies, bad answers, CPU time; attacks and throwings out
  idle         memory that one idle TLS connection costs: many are opened by another process and left alone for a minute
  h2-idle      the same with HTTP/2
  soak         memory after a tenth, a half and all of many requests: it should not grow

A measurement of h2-transfer ends after 5 minutes at most, one of h2-flood half a minute after --flood. idle, h2-idle and soak
are measured once, whatever --rounds says.

Examples:
  go run ./bench/edge --rounds 3 --markdown
  go run ./bench/edge --modes h1,h1-log --peers nginx --seconds 10
  go run ./bench/edge --modes h2-transfer,h2-stall --peers nginx,caddy
  go run ./bench/edge --modes h2-flood --peers nginx --rounds 1
  go run ./bench/edge --modes idle,h2-idle,soak --peers nginx,caddy`

// command is what the program does.
type command interface {
	Run(ctx context.Context) error
}

// helpers are what the program starts itself, by the first argument.
var helpers = map[string]command{"backend": &backendCommand{}, "hold": &holdCommand{}, "flood": &floodCommand{}}

func main() {
	var does command = &compareCommand{}
	arguments := os.Args[1:]
	if len(arguments) > 0 && helpers[arguments[0]] != nil {
		does, arguments = helpers[arguments[0]], arguments[1:]
	}
	parser := kong.Must(does, kong.Name("edge"), kong.Description(description))
	_, err := parser.Parse(arguments)
	parser.FatalIfErrorf(err)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parser.FatalIfErrorf(does.Run(ctx))
}
