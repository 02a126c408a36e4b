package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/proxy/deploy"
)

// Upstream is what operators decided about an upstream while the edge runs.
type Upstream struct {
	Name     string        `json:"name"`
	Targets  []string      `json:"targets"`            // that serve
	Deployed bool          `json:"deployed"`           // they were deployed; else proxy.yaml names them
	Differs  bool          `json:"differs,omitempty"`  // proxy.yaml names others
	Previous []string      `json:"previous,omitempty"` // what a rollback goes back to
	Busy     string        `json:"busy,omitempty"`     // the deploy that is under way
	Last     *deploy.Event `json:"last,omitempty"`     // what was done last

	Canary      *deploy.Canary      `json:"canary,omitempty"`
	Pause       *deploy.Pause       `json:"pause,omitempty"`
	Waiting     int64               `json:"waiting,omitempty"` // requests, for the pause to end
	Maintenance *deploy.Maintenance `json:"maintenance,omitempty"`
}

// Deploy puts other targets in the place of those that serve.
type Deploy struct {
	Targets []string `json:"targets"` // none: those of proxy.yaml
	Smoke   []string `json:"smoke"`   // paths that must be answered 2xx or 3xx before the switch
	Timeout Duration `json:"timeout"` // for the probes to pass
	Drain   Drain    `json:"drain"`
}

// Rollback goes back to the targets before the last deploy.
type Rollback struct {
	Force   bool     `json:"force"` // without probes
	Timeout Duration `json:"timeout"`
	Drain   Drain    `json:"drain"`
}

// Canary lets a share of the clients be served by other targets, changes the share, or ends that; or lets these targets serve
// all clients.
type Canary struct {
	Targets []string `json:"targets"` // none: those that the canary has
	Percent float64  `json:"percent"` // of the clients; 0 ends the canary
	Promote bool     `json:"promote"` // it serves all clients from now on
	Smoke   []string `json:"smoke"`   // as in Deploy
	Timeout Duration `json:"timeout"`
	Drain   Drain    `json:"drain"`
}

// Pause lets requests wait until Resume.
type Pause struct {
	For   Duration `json:"for"`   // how long one request waits at most
	Queue int      `json:"queue"` // how many wait at most
	Drain Duration `json:"drain"` // how long the command waits for requests under way
}

// Resume ends a pause.
type Resume struct{}

// Maintenance lets requests be answered 503, or ends that.
type Maintenance struct {
	On      bool           `json:"on"`
	Message string         `json:"message"` // "": the edge's own words
	Allow   []netip.Prefix `json:"allow"`   // clients who are served all the same
}

// Drain is how long requests to targets that were replaced may go on before the command ends, and event streams and
// WebSockets before they are ended.
type Drain struct {
	Within Duration `json:"within"`
	Grace  Duration `json:"grace"`
}

// Duration is written as in 1m30s.
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. What is negative, or longer than a day, is refused.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil || parsed < 0 || parsed > 24*time.Hour {
		return fmt.Errorf("%q is not a duration such as 30s, from 0 to 24h", text)
	}
	*d = Duration(parsed)
	return nil
}

// What a Progress may be about.
const (
	StepProbe   = "probe"   // a target passed another probe in a row
	StepSmoke   = "smoke"   // a target answered a smoke path
	StepSwitch  = "switch"  // what was asked for is so from now on
	StepDrained = "drained" // requests from before came to their end
	StepDone    = "done"    // all is done; the last one
	StepFailed  = "failed"  // and why; the last one
)

// Progress is a step of a command, as it is reached.
type Progress struct {
	Step string `json:"step"`
	Text string `json:"text"` // for a person
}

// Tell hands on progress. It does not wait for anybody to read it.
type Tell func(Progress)

// Deploys are the commands that change what serves, or whether it does. name is a key of upstreams in proxy.yaml, by who asks. When ctx ends before
// the switch, nothing has changed.
type Deploys interface {
	Deploy(ctx context.Context, name, by string, wanted Deploy, tell Tell) error
	Rollback(ctx context.Context, name, by string, wanted Rollback, tell Tell) error
	Canary(ctx context.Context, name, by string, wanted Canary, tell Tell) error
	Pause(ctx context.Context, name, by string, wanted Pause, tell Tell) error
	Resume(ctx context.Context, name, by string, wanted Resume, tell Tell) error
	Maintain(ctx context.Context, name, by string, wanted Maintenance, tell Tell) error
	History(name string) ([]deploy.Event, error)
}

// ErrUnknown says that there is no upstream of that name.
var ErrUnknown = errors.New("unknown upstream")

// maxCommand bounds the body of a command.
const maxCommand = 64 << 10

// handleDeploys answers POST /upstreams/{name}/… and GET /upstreams/{name}/history.
func handleDeploys(mux *http.ServeMux, edge Deploys) {
	mux.HandleFunc("POST /upstreams/{name}/deploy", command(edge.Deploy))
	mux.HandleFunc("POST /upstreams/{name}/rollback", command(edge.Rollback))
	mux.HandleFunc("POST /upstreams/{name}/canary", command(edge.Canary))
	mux.HandleFunc("POST /upstreams/{name}/pause", command(edge.Pause))
	mux.HandleFunc("POST /upstreams/{name}/resume", command(edge.Resume))
	mux.HandleFunc("POST /upstreams/{name}/maintenance", command(edge.Maintain))
	mux.HandleFunc("GET /upstreams/{name}/history", func(w http.ResponseWriter, r *http.Request) {
		history, err := edge.History(r.PathValue("name"))
		if err != nil {
			refuse(w, err)
			return
		}
		httpx.WriteJSON(w, http.StatusOK, history)
	})
}

// command reads a command, lets it be carried out, and answers with its steps as lines of JSON, the last of which tells how
// it ended. One that fails before its first step is answered with a status of its own.
func command[T any](carryOut func(ctx context.Context, name, by string, wanted T, tell Tell) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var wanted T
		by, err := by(r.Context(), r.URL.Query().Get("by"))
		if err == nil {
			err = decode(w, r, &wanted)
		}
		if err != nil {
			httpx.WriteJSON(w, http.StatusBadRequest, failure{err.Error()})
			return
		}
		began := false
		tell := func(progress Progress) {
			if !began {
				began = true
				w.Header().Set("Content-Type", "application/x-ndjson")
			}
			// Who does not read it can ask for the status.
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Second))
			if json.NewEncoder(w).Encode(progress) == nil {
				_ = http.NewResponseController(w).Flush()
			}
		}
		switch err := carryOut(r.Context(), r.PathValue("name"), by, wanted, tell); {
		case err == nil:
			tell(Progress{Step: StepDone})
		case began:
			tell(Progress{Step: StepFailed, Text: err.Error()})
		default:
			refuse(w, err)
		}
	}
}

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusConflict
	if errors.Is(err, ErrUnknown) {
		status = http.StatusNotFound
	}
	httpx.WriteJSON(w, status, failure{err.Error()})
}

func decode(w http.ResponseWriter, r *http.Request, wanted any) error {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCommand))
	if err != nil {
		return fmt.Errorf("the command cannot be read: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(wanted); err != nil {
		return fmt.Errorf("the command cannot be understood: %w", err)
	}
	return nil
}

// Change sends a command about an upstream to the edge behind the socket at path, and tells its steps as they come. note says
// who or what it is for, besides the user that the kernel names.
func Change(ctx context.Context, path, name, action, note string, wanted any, tell Tell) error {
	raw, err := json.Marshal(wanted)
	if err != nil {
		return err
	}
	response, err := send(ctx, path, http.MethodPost, "/upstreams/"+url.PathEscape(name)+"/"+action+"?by="+url.QueryEscape(note), bytes.NewReader(raw))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		var progress Progress
		if err := json.Unmarshal(lines.Bytes(), &progress); err != nil {
			return fmt.Errorf("the edge says %q: %w", lines.Text(), err)
		}
		if progress.Step == StepFailed {
			return errors.New(progress.Text)
		}
		tell(progress)
		if progress.Step == StepDone {
			return nil
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.New("the edge went away before it told how this ended: `proxy status` tells what serves")
}

// Past asks the edge behind the socket at path what was done to an upstream.
func Past(ctx context.Context, path, name string) (history []deploy.Event, err error) {
	response, err := send(ctx, path, http.MethodGet, "/upstreams/"+url.PathEscape(name)+"/history", http.NoBody)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return history, json.NewDecoder(response.Body).Decode(&history)
}

// refusal is what an answer other than 200 says.
func refusal(response *http.Response) error {
	var refused failure
	_ = json.NewDecoder(io.LimitReader(response.Body, maxCommand)).Decode(&refused)
	if refused.Detail == "" {
		return fmt.Errorf("the edge answers %s: is it of the same version as this command?", response.Status)
	}
	return errors.New(strings.TrimSpace(refused.Detail))
}
