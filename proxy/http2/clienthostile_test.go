package http2_test

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/portico-web/portico/proxy/http2"
)

func TestAHostileServerIsHungUpOn(t *testing.T) {
	t.Parallel()
	each := func(n int, say func(o *origin, id uint32)) func(*origin, uint32) {
		return func(o *origin, id uint32) {
			for range n {
				say(o, id)
			}
		}
	}
	const many = 50_000
	for name, test := range map[string]struct {
		say  func(o *origin, id uint32)
		want xhttp2.ErrCode
	}{
		"PING":     {each(many, func(o *origin, _ uint32) { _ = o.WritePing(false, [8]byte{}) }), xhttp2.ErrCodeEnhanceYourCalm},
		"SETTINGS": {each(many, func(o *origin, _ uint32) { _ = o.WriteSettings() }), xhttp2.ErrCodeEnhanceYourCalm},
		"empty DATA": {func(o *origin, id uint32) {
			o.head(id, false, ":status", "200")
			each(many, func(o *origin, id uint32) { _ = o.WriteData(id, false, nil) })(o, id)
		}, xhttp2.ErrCodeEnhanceYourCalm},
		"WINDOW_UPDATE":  {each(many, func(o *origin, _ uint32) { _ = o.WriteWindowUpdate(0, 1) }), xhttp2.ErrCodeEnhanceYourCalm},
		"PRIORITY":       {each(many, func(o *origin, id uint32) { _ = o.WritePriority(id, xhttp2.PriorityParam{}) }), xhttp2.ErrCodeEnhanceYourCalm},
		"unknown frames": {each(many, func(o *origin, _ uint32) { _ = o.WriteRawFrame(0xbe, 0, 0, nil) }), xhttp2.ErrCodeEnhanceYourCalm},
		"RST_STREAM":     {each(many, func(o *origin, id uint32) { _ = o.WriteRSTStream(id, xhttp2.ErrCodeCancel) }), xhttp2.ErrCodeEnhanceYourCalm},
		"heads of a stream that is over": {func(o *origin, id uint32) {
			each(many, func(o *origin, id uint32) { o.head(id, true, ":status", "200") })(o, id)
		}, xhttp2.ErrCodeEnhanceYourCalm},
		"CONTINUATION without end": {func(o *origin, id uint32) {
			_ = o.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: o.encode(":status", "200")})
			each(many, func(o *origin, id uint32) { _ = o.WriteContinuation(id, false, nil) })(o, id)
		}, xhttp2.ErrCodeEnhanceYourCalm},
		"a block without end": {func(o *origin, id uint32) {
			_ = o.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: o.encode(":status", "200")})
			each(1000, func(o *origin, id uint32) { _ = o.WriteContinuation(id, false, make([]byte, 16<<10)) })(o, id)
		}, xhttp2.ErrCodeEnhanceYourCalm},
		"a bomb": {func(o *origin, id uint32) {
			block := append(bytes.Clone(o.encode(":status", "200", "x", strings.Repeat("y", 4000))), bytes.Repeat([]byte{0x80 | 62}, 16<<10-5000)...)
			for range 2 {
				_ = o.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true})
			}
			o.rest()
		}, xhttp2.ErrCodeEnhanceYourCalm},
		"more than the window": {func(o *origin, id uint32) {
			o.head(id, false, ":status", "200")
			each(2000, func(o *origin, id uint32) { _ = o.WriteData(id, false, make([]byte, 16<<10)) })(o, id)
		}, xhttp2.ErrCodeNo}, // the stream is reset
		"a push": {func(o *origin, id uint32) {
			_ = o.WritePushPromise(xhttp2.PushPromiseParam{StreamID: id, PromiseID: 2, BlockFragment: o.encode(":method", "GET"), EndHeaders: true})
		}, xhttp2.ErrCodeProtocol},
		"a stream of its own":       {func(o *origin, _ uint32) { o.head(2, true, ":status", "200") }, xhttp2.ErrCodeProtocol},
		"a stream that is to come":  {func(o *origin, id uint32) { o.head(id+2, true, ":status", "200") }, xhttp2.ErrCodeProtocol},
		"content of one":            {func(o *origin, id uint32) { _ = o.WriteData(id+2, true, []byte("x")) }, xhttp2.ErrCodeProtocol},
		"a frame that is too large": {func(o *origin, id uint32) { _ = o.WriteRawFrame(xhttp2.FrameData, 0, id, make([]byte, 16<<10+1)) }, xhttp2.ErrCodeFrameSize},
		"broken compression": {func(o *origin, id uint32) {
			_ = o.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0xff, 0xff, 0xff}, EndHeaders: true})
		}, xhttp2.ErrCodeCompression},
		"too large a window for all": {func(o *origin, _ uint32) { _ = o.WriteWindowUpdate(0, 1<<31-1) }, xhttp2.ErrCodeFlowControl},
		"push enabled":               {func(o *origin, _ uint32) { _ = o.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingEnablePush, Val: 1}) }, xhttp2.ErrCodeProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := make(chan xhttp2.ErrCode, 1)
			l := linked(t, usualClient(), func(o *origin) {
				id := o.request(nil).StreamID
				var writing sync.WaitGroup
				writing.Go(func() { test.say(o, id) })
				for {
					frame, err := o.ReadFrame()
					if err != nil {
						break
					}
					switch f := frame.(type) {
					case *xhttp2.GoAwayFrame:
						said <- f.ErrCode
					case *xhttp2.RSTStreamFrame:
						if test.want == xhttp2.ErrCodeNo {
							said <- test.want
						}
					}
				}
				_ = o.conn.Close()
				writing.Wait()
			})
			st := l.get("/")
			for {
				if _, err := headsOf(st); err != nil {
					break
				}
				if _, err := wholeOf(st); err != nil {
					break
				}
				_ = l.Err()
				if st.Done() {
					break
				}
			}
			select {
			case code := <-said:
				if code != test.want {
					t.Errorf("hung up on with %v", code)
				}
			case <-l.over: // it did not read the last words
				fault, told := errors.AsType[*http2.ConnectionError](l.Err())
				if !told || fault.Remote || xhttp2.ErrCode(fault.Code) != test.want {
					t.Errorf("it ends with %v", l.Err())
				}
			case <-time.After(patience):
				t.Error("the connection goes on")
			}
		})
	}
}

func TestWhatASlowHeadLeavesIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	client := usualClient()
	client.SignTimeout = 50 * time.Millisecond
	l := linked(t, client, func(o *origin) {
		id := o.request(nil).StreamID
		_ = o.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: o.encode(":status", "200")})
		o.rest()
	})
	if _, err := headsOf(l.get("/")); err == nil {
		t.Error("an answer")
	}
	l.ended()
}
