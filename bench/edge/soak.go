package main

import (
	"context"
	"fmt"
	"strconv"
)

// soakParts are shares of all requests after which the memory is looked at, in hundredths.
var soakParts = [...]int{10, 50, 100}

// soak measures how memory grows over many requests. Each proxy is new.
func (b *bench) soak(ctx context.Context) error {
	generator := &load{program: "h2load", install: "apt-get install nghttp2-client"}
	if err := generator.ready(); err != nil {
		return fmt.Errorf("mode soak: %w", err)
	}
	for _, p := range b.proxies {
		resident, bad, err := b.soakOne(ctx, p)
		if err != nil {
			return fmt.Errorf("%s in mode soak: %w", p.name, err)
		}
		b.report.soak(p, b.Requests, resident, bad)
	}
	return nil
}

func (b *bench) soakOne(ctx context.Context, p *proxy) (resident [len(soakParts)]int64, bad int, err error) {
	server, err := p.start(ctx, b.site, false)
	if err != nil {
		return resident, 0, err
	}
	defer server.stop()
	done := 0
	for i, part := range soakParts {
		requests := b.Requests*part/100 - done
		done += requests
		output, err := run(ctx, "h2load", "--h1", "--clients=64", "--threads="+threads(), "--requests="+strconv.Itoa(requests), server.url)
		if err != nil {
			return resident, 0, err
		}
		seen, err := readH2load(output)
		if err != nil {
			return resident, 0, fmt.Errorf("%w in\n%s", err, output)
		}
		bad += seen.bad
		now, err := server.usage()
		if err != nil {
			return resident, 0, err
		}
		resident[i] = now.resident
	}
	return resident, bad, nil
}
