package proxy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"

	"github.com/portico-web/portico/internal/dbtest"
)

// chromium starts headless Chromium with a profile of its own. It does not know the local CA, which other clients check. It
// stays with HTTP/2 where HTTP/3 is offered.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path := dbtest.Require(t, "Debian: apt-get install chromium", "chromium", "chromium-browser", "google-chrome")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("ignore-certificate-errors", true), chromedp.Flag("disable-quic", true),
		chromedp.Flag("no-first-run", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("accept-lang", "en"))
	allocator, stopBrowser := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stopBrowser)
	ctx, stop := chromedp.NewContext(allocator)
	t.Cleanup(stop)
	ctx, cancel := context.WithTimeout(ctx, 2*clientPatience)
	t.Cleanup(cancel)
	return ctx
}

// script runs JavaScript in the page, waits for its promise and returns what that gives.
func script[T any](ctx context.Context, t *testing.T, source string) T {
	t.Helper()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[T]("(async () => { "+source+" })()", chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return got
}

func TestChromiumLoadsAPageOfManyAssets(t *testing.T) {
	t.Parallel()
	ctx := chromium(t)
	page := newPage()
	e := startQuiet(t, site(serve(t, page.serve), `      - {path: /, upstream: app, compress: true}`))
	logged, stopLogging := context.WithCancel(ctx)
	defer stopLogging()
	messages := chromedp.Console(logged)
	if err := chromedp.Do(ctx, chromedp.Navigate(e.url("/"))); err != nil { // it waits until everything is loaded
		t.Fatal(err)
	}
	got := script[struct {
		Ran, Wide []int
		Layers    []string
		Protocols map[string]string // by path
	}](ctx, t, `
		const came = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
		console.log("the end")
		return {
			Ran: ran, Wide: [...document.images].map(image => image.naturalWidth),
			Layers: [...document.querySelectorAll(".styled")].map(element => getComputedStyle(element).zIndex),
			Protocols: Object.fromEntries(came.map(entry => [new URL(entry.name).pathname, entry.nextHopProtocol])),
		}`)
	if len(got.Ran) != pageScripts || len(got.Wide) != pageImages || len(got.Layers) != pageSheets {
		t.Errorf("%d scripts ran, there are %d images and %d styled elements", len(got.Ran), len(got.Wide), len(got.Layers))
	}
	for i, ran := range got.Ran {
		if ran != i {
			t.Errorf("script %d ran as number %d", ran, i)
		}
	}
	for i, width := range got.Wide {
		if width != i+1 {
			t.Errorf("image %d is %d wide", i, width)
		}
	}
	for i, layer := range got.Layers {
		if layer != fmt.Sprint(i+1) {
			t.Errorf("sheet %d gives %s", i, layer)
		}
	}
	if len(got.Protocols) != len(page.assets)+1 {
		t.Errorf("Chromium tells of %d answers", len(got.Protocols))
	}
	for path, protocol := range got.Protocols {
		if protocol != "h2" {
			t.Errorf("%s came by %q", path, protocol)
		}
	}
	for message, err := range messages {
		if err != nil {
			t.Fatal(err)
		}
		if message.Text == "the end" {
			break
		}
		t.Errorf("the console says %v", message)
	}
}

func TestChromiumUploadsAFile(t *testing.T) {
	t.Parallel()
	ctx := chromium(t)
	large := noise(largeSize)
	file := temporary(t, large)
	e := start(t, site(serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, `<!doctype html><link rel=icon href="data:,"><form method=post enctype="multipart/form-data"><input type=file name=file><button>Send</button></form>`)
			return
		}
		content, header, err := r.FormFile("file")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		defer content.Close()
		got, err := io.ReadAll(content)
		if err != nil {
			return
		}
		_ = json.NewEncoder(w).Encode(delivery{Method: header.Filename, Sum: sum(got), Length: r.ContentLength})
	}), `      - {path: /, upstream: app}`))
	if err := chromedp.Do(ctx, chromedp.Navigate(e.url("/")), chromedp.SetUploadFiles(chromedp.CSS("input"), []string{file})); err != nil {
		t.Fatal(err)
	}
	response, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS("button")))
	if err != nil {
		t.Fatal(err)
	}
	text := script[string](ctx, t, `return document.body.innerText`)
	if got := delivered(t, text); response.Protocol != "h2" || got.Method != "content" || got.Sum != sum(large) || got.Length <= largeSize {
		t.Errorf("by %s: %+v", response.Protocol, got)
	}
	text = script[string](ctx, t, `
		const content = new Uint8Array(3 << 20).map((_, i) => i % 251)
		const all = await Promise.all([...Array(5)].map(() => fetch("/", {method: "POST", body: (() => {
			const form = new FormData()
			form.append("file", new Blob([content]), "blob")
			return form
		})()}).then(response => response.text())))
		return all.join("")`)
	pattern := make([]byte, 3<<20)
	for i := range pattern {
		pattern[i] = byte(i % 251)
	}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if got := delivered(t, line); got.Sum != sum(pattern) {
			t.Errorf("of several at once: %+v", got)
		}
	}
}

func TestChromiumTalksOverAWebSocket(t *testing.T) {
	t.Parallel()
	ctx := chromium(t)
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ws" {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, `<!doctype html><link rel=icon href="data:,"><title>page</title>`)
			return
		}
		_ = chat(w, r)
	})
	e := start(t, site(app, `      - {path: /, upstream: app}`))
	if err := chromedp.Do(ctx, chromedp.Navigate(e.url("/"))); err != nil {
		t.Fatal(err)
	}
	got := script[struct {
		Subprotocol string
		Answers     []string
		Code        websocket.StatusCode
		Reason      string
		Clean       bool
	}](ctx, t, `
		const socket = new WebSocket("wss://" + location.host + "/ws", ["chat"])
		const answers = []
		socket.onopen = () => socket.send("hello")
		socket.onmessage = event => {
			answers.push(event.data.slice(0, 20) + event.data.length)
			switch (answers.length) {
			case 1: socket.send("long ".repeat(60000)); break
			case 2: socket.send("leave"); break
			}
		}
		const closed = await new Promise(resolve => socket.onclose = resolve)
		return {Subprotocol: socket.protocol, Answers: answers, Code: closed.code, Reason: closed.reason, Clean: closed.wasClean}`)
	if want := []string{"echo hello10", "echo long long long 300005"}; got.Subprotocol != "chat" || fmt.Sprint(got.Answers) != fmt.Sprint(want) ||
		got.Code != chatLeft || got.Reason != "as you wish" || !got.Clean {
		t.Errorf("%+v", got)
	}
	if err := e.stop(); err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(e.log.String()) {
		if strings.Contains(line, `"path":"/ws"`) {
			if !strings.Contains(line, `"proto":"HTTP/2.0"`) {
				t.Errorf("it did not go over HTTP/2: %s", line)
			}
			return
		}
	}
	t.Errorf("the log does not tell of the WebSocket: %s", e.log)
}
