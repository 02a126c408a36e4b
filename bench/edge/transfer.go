package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// transfers move much over one connection of HTTP/2. The client leaves the proxy windows of 2 GiB.
var transfers = []trial{
	{title: "HTTP/2, all over one stream, down", measure: transfer(1, (*h2conn).download)},
	{title: "HTTP/2, all over one stream, up", measure: transfer(1, (*h2conn).upload)},
	{title: "HTTP/2, 100 streams at once, down", measure: transfer(100, (*h2conn).download)},
	{title: "HTTP/2, 100 streams at once, up", measure: transfer(100, (*h2conn).upload)},
}

// longest is how long one transfer may take.
const longest = 5 * time.Minute

func transfer(streams int, move func(c *h2conn, size int64) error) func(context.Context, attempt) (figure, error) {
	return func(ctx context.Context, a attempt) (figure, error) {
		ctx, cancel := context.WithTimeout(ctx, longest)
		defer cancel()
		c, err := dialH2(ctx, a.server.url, a.roots, greedy)
		if err != nil {
			return nil, err
		}
		defer c.close()
		go c.read()
		if _, err := c.get("/"); err != nil { // what begins with the first request is no part of it, and the windows are known then
			return nil, err
		}
		before, err := a.server.usage()
		if err != nil {
			return nil, err
		}
		began := time.Now()
		each := (a.Transfer << 20) / int64(streams)
		failures := make([]error, streams)
		var moving sync.WaitGroup
		for i := range streams {
			moving.Go(func() { failures[i] = move(c, each) })
		}
		moving.Wait()
		took := time.Since(began)
		after, usageErr := a.server.usage()
		if err := errors.Join(errors.Join(failures...), usageErr); err != nil {
			return nil, err
		}
		return figure{
			{speed, float64(a.Transfer) / took.Seconds()},
			{cpuSum, (after.cpu - before.cpu).Seconds()},
			megabytes(peak, after.peak),
		}, nil
	}
}

func (c *h2conn) download(size int64) error {
	got, err := c.get(fmt.Sprintf("/bytes?n=%d", size))
	if err == nil && got != size {
		err = fmt.Errorf("%d of %d bytes came", got, size)
	}
	return err
}

func (c *h2conn) upload(size int64) error { return c.post(fmt.Sprintf("/bytes?n=%d", size), size) }
