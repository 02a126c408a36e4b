package main

import (
	"context"
	"strconv"
)

// soakParts are shares of all requests after which the memory is looked at, in hundredths.
var soakParts = [...]int{10, 50, 100}

// soak measures how memory grows over many requests.
func soak(ctx context.Context, a attempt) (figure, error) {
	var f figure
	failed, done := 0, 0
	for _, part := range soakParts {
		requests := a.Requests*part/100 - done
		done += requests
		output, err := run(ctx, "h2load", "--h1", "--clients=64", "--threads="+threads(), "--requests="+strconv.Itoa(requests), a.server.url)
		if err != nil {
			return nil, err
		}
		seen, err := readH2load(output)
		if err != nil {
			return nil, err
		}
		failed += seen.bad
		now, err := a.server.usage()
		if err != nil {
			return nil, err
		}
		f = append(f, megabytes(resident, now.resident))
	}
	return append(f, value{bad, float64(failed)}), nil
}
