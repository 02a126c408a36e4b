package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// flood is something that one client does on one connection, as fast as it can.
type flood struct {
	name     string
	settings h2settings
	deaf     bool // it reads nothing
	step     func(c *h2conn, i int) error
}

var floods = []flood{
	{name: "rapid reset", settings: modest, step: func(c *h2conn, _ int) error {
		return c.provoke(func(id uint32) error { return c.framer.WriteRSTStream(id, http2.ErrCodeCancel) })
	}},
	{name: "resets of the server's making", settings: modest, step: func(c *h2conn, _ int) error {
		return c.provoke(func(id uint32) error { return c.framer.WriteWindowUpdate(id, 0) })
	}},
	{name: "CONTINUATION without end", settings: modest, step: func(c *h2conn, i int) error {
		if i == 0 {
			return c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.fields("GET", "/"), EndStream: true})
		}
		return c.framer.WriteContinuation(1, false, []byte("\x00\x01a\x01b"))
	}},
	{name: "header bombs", settings: modest, step: func(c *h2conn, i int) error {
		bomb := hpack.HeaderField{Name: "x-bomb", Value: fmt.Sprint(i, strings.Repeat("b", 3900))} // the latest entry of the table
		block := append(c.fields("GET", "/", bomb), bytes.Repeat([]byte{0x80 | 62}, 16_000)...)    // 64 MB
		id := c.next
		c.next += 2
		return c.headers(id, true, block)
	}},
	{name: "PING", settings: modest, step: func(c *h2conn, _ int) error { return c.framer.WritePing(false, [8]byte{}) }},
	{name: "PING, answers unread", settings: modest, deaf: true, step: func(c *h2conn, _ int) error { return c.framer.WritePing(false, [8]byte{}) }},
	{name: "SETTINGS", settings: modest, step: func(c *h2conn, i int) error {
		return c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(i % 2)})
	}},
	{name: "DATA of no bytes", settings: modest, step: func(c *h2conn, i int) error {
		if i%10_000 == 0 { // in case that the last one was answered
			_, err := c.begin("POST", "/bytes?n=1", -1)
			return err
		}
		return c.framer.WriteData(c.next-2, false, nil)
	}},
	{name: "WINDOW_UPDATE", settings: h2settings{window: maxWindow, boundary: true, buffer: modest.buffer}, step: func(c *h2conn, _ int) error {
		return c.framer.WriteWindowUpdate(0, 1)
	}},
	{name: "windows of zero", settings: h2settings{buffer: modest.buffer}, step: func(c *h2conn, _ int) error {
		if c.open() < slowStreams {
			_, err := c.begin("GET", slowPath, -1)
			return err
		}
		return c.pause(10 * time.Millisecond)
	}},
}

// provoke asks for something and takes it back. The stream is forgotten at once.
func (c *h2conn) provoke(reset func(id uint32) error) error {
	s, err := c.begin("GET", "/", -1)
	if err != nil {
		return err
	}
	c.forget(s)
	return reset(s.id)
}

func (c *h2conn) forget(s *h2stream) {
	c.state.Lock()
	defer c.state.Unlock()
	delete(c.streams, s.id)
}

// open counts the streams that have not ended.
func (c *h2conn) open() int {
	c.state.Lock()
	defer c.state.Unlock()
	return len(c.streams)
}

// pause sends what was written, and waits a little.
func (c *h2conn) pause(d time.Duration) error {
	if err := c.flush(); err != nil {
		return err
	}
	c.writing.Unlock() // who reads has to reply
	defer c.writing.Lock()
	select {
	case <-c.ended:
		return errors.New("the connection ended")
	case <-time.After(d):
		return nil
	}
}
