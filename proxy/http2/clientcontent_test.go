package http2_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/portico-web/portico/proxy/http2"
	"github.com/portico-web/portico/proxy/message"
)

func TestContentWaitsForWindows(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("0123456789", 10_000)
	for name, sends := range map[string]func(st *http2.ClientStream) error{
		"along": func(st *http2.ClientStream) error {
			return st.Send(asking("POST", "/", int64(len(text))), false, []byte(text), true)
		},
		"in pieces": func(st *http2.ClientStream) error {
			if err := st.Send(asking("POST", "/", message.Unknown), false, nil, false); err != nil {
				return err
			}
			for rest := text; rest != ""; {
				n := min(len(rest), 7777)
				if _, err := st.Write([]byte(rest[:n])); err != nil {
					return err
				}
				rest = rest[n:]
			}
			return st.End(nil)
		},
	} {
		for _, small := range []uint32{0, 1000} {
			l := linked(t, usualClient(), func(o *origin) {
				id := o.request(nil).StreamID
				window, whole := int(small), 65535
				var got bytes.Buffer
				for ended := false; !ended; {
					if window == 0 {
						window = 999
						_ = o.WriteWindowUpdate(id, 999)
					}
					if whole < 20_000 {
						whole += 30_000
						_ = o.WriteWindowUpdate(0, 30_000)
					}
					f := awaitFrame[*xhttp2.DataFrame](o, nil)
					if f == nil {
						break
					}
					if window, whole = window-int(f.Length), whole-int(f.Length); window < 0 || whole < 0 {
						t.Errorf("%s: beyond the window", name)
					}
					got.Write(f.Data())
					ended = f.StreamEnded()
				}
				if got.String() != text {
					t.Errorf("%s: %d bytes arrive", name, got.Len())
				}
				o.head(id, true, ":status", "200")
				o.rest()
			}, xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: small})
			st := l.stream()
			if err := sends(st); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got, err := headsOf(st); err != nil || got != "200 0" {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
	}
}

func TestTrailersOfARequestFollowItsContent(t *testing.T) {
	t.Parallel()
	l := linked(t, usualClient(), func(o *origin) {
		id := o.request(nil).StreamID
		trailers := o.request(nil)
		if trailers == nil || trailers.StreamID != id || !trailers.StreamEnded() || len(trailers.Fields) != 1 || trailers.Fields[0].Value != "7" {
			t.Errorf("%v", trailers)
		}
		o.head(id, true, ":status", "200")
		o.rest()
	})
	st := l.stream()
	if err := st.Send(asking("POST", "/", message.Unknown), false, nil, false); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Write([]byte("content")); err != nil {
		t.Fatal(err)
	}
	var trailer message.Fields
	trailer.AddNamed("X-Sum", "7")
	if err := st.End(&trailer); err != nil {
		t.Fatal(err)
	}
	if _, err := headsOf(st); err != nil {
		t.Error(err)
	}
}

func TestAServerThatTakesNoContentIsGivenUp(t *testing.T) {
	t.Parallel()
	client := usualClient()
	client.StallTimeout = 20 * time.Millisecond
	l := linked(t, client, (*origin).rest, xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 3})
	st := l.stream()
	if err := st.Send(asking("POST", "/", message.Unknown), false, nil, false); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Write([]byte("content")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

func TestAnswersThatNobodyTakesDoNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	client := usualClient()
	part := make([]byte, 16<<10-100)
	const total = 8 << 20
	most := client.Bounds.StreamWindow
	l := linked(t, client, func(o *origin) {
		windows, whole, sent, full := map[uint32]int{}, 65535, 0, 0
		var fast uint32
		for {
			frame, err := o.ReadFrame()
			if err != nil {
				return
			}
			switch f := frame.(type) {
			case *xhttp2.SettingsFrame:
				if !f.IsAck() {
					_ = o.WriteSettingsAck()
				}
			case *xhttp2.WindowUpdateFrame:
				if f.StreamID == 0 {
					whole += int(f.Increment)
				} else {
					windows[f.StreamID] += int(f.Increment)
				}
			case *xhttp2.MetaHeadersFrame:
				o.head(f.StreamID, false, ":status", "200")
				windows[f.StreamID] = 65535
				if f.PseudoValue("path") == "/fast" {
					fast = f.StreamID
				}
			}
			for id := range windows {
				for windows[id] > 0 && whole > 0 && (id != fast || sent < total) {
					n := min(len(part), windows[id], whole)
					if id == fast {
						n = min(n, total-sent)
						sent += n
					} else if full += n; full > client.Bounds.Streams*most {
						t.Error("windows without end")
						return
					}
					windows[id], whole = windows[id]-n, whole-n
					_ = o.WriteData(id, id == fast && sent == total, part[:n])
				}
			}
		}
	})
	for range client.Bounds.Streams - 1 {
		st := l.get("/slow")
		if _, err := headsOf(st); err != nil {
			t.Fatal(err)
		}
	}
	fast := l.get("/fast")
	if _, err := headsOf(fast); err != nil {
		t.Fatal(err)
	}
	if got, err := wholeOf(fast); err != nil || len(got) != total {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if l.Reserve() != nil {
		t.Error("the connection takes more streams than it may")
	}
}

func TestManyStreamsCarryContentBothWays(t *testing.T) {
	t.Parallel()
	served := linkTo(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		n, _ := io.Copy(w, r.Body)
		w.Header().Set("X-Sum", fmt.Sprint(n))
	})
	var wait sync.WaitGroup
	for i := range 40 {
		wait.Go(func() {
			size := rand.IntN(1 << 20)
			text := bytes.Repeat([]byte{byte(i)}, size)
			st := served.stream()
			if err := st.Send(asking("POST", "/", message.Unknown), false, nil, false); err != nil {
				t.Error(err)
				return
			}
			var sending sync.WaitGroup
			defer sending.Wait()
			sending.Go(func() {
				for rest := text; len(rest) > 0; {
					n := min(len(rest), 1+rand.IntN(40_000))
					if _, err := st.Write(rest[:n]); err != nil {
						t.Error(err)
						return
					}
					rest = rest[n:]
				}
				if err := st.End(nil); err != nil {
					t.Error(err)
				}
			})
			_, err := headsOf(st)
			got, err2 := wholeOf(st)
			if err != nil || err2 != nil || got != string(text) {
				t.Errorf("%d bytes of %d, %v, %v", len(got), size, err, err2)
				return
			}
			if trailer := st.Trailer(); trailer == nil || string(trailer.Lookup("X-Sum")) != fmt.Sprint(size) {
				t.Errorf("trailers %v", trailer)
			}
		})
	}
	wait.Wait()
}
