// Package control is how the operator's commands reach a running edge: JSON over HTTP on a Unix socket that only the edge's
// own user may open.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/portico-web/portico/internal/httpx"
)

// Target is the state of one member of an upstream.
type Target struct {
	Upstream string `json:"upstream"`
	Target   string `json:"target"`   // as the configuration names it
	Endpoint string `json:"endpoint"` // where connections to it go
	Healthy  bool   `json:"healthy"`
	Ejected  bool   `json:"ejected"` // taken out because it failed requests
	Active   int64  `json:"active"`
}

// Status is what a running edge says of itself.
type Status struct {
	HTTP         string        `json:"http,omitempty"`
	HTTPS        string        `json:"https,omitempty"`
	Hosts        []string      `json:"hosts"`
	Targets      []Target      `json:"targets"`
	Upstreams    []Upstream    `json:"upstreams"`
	Certificates []Certificate `json:"certificates"`
	Refused      string        `json:"refused,omitempty"` // why the configuration on disk does not serve

	Version       string        `json:"version"`
	Started       time.Time     `json:"started"`
	Draining      bool          `json:"draining,omitempty"` // it is about to stop
	Internal      string        `json:"internal,omitempty"`
	HTTP3         bool          `json:"http3,omitempty"`
	Configuration Configuration `json:"configuration"`
	Connections   Connections   `json:"connections"`
	InFlight      int64         `json:"in_flight"` // requests
	Traffic       Traffic       `json:"traffic"`   // of all routes, and of requests that found none
	Routes        []Route       `json:"routes"`
	RateLimits    []RateLimit   `json:"rate_limits"`
}

// Upgraded is the process that took an edge's place.
type Upgraded struct {
	PID     int    `json:"pid"`
	Version string `json:"version"`
}

// Edge is what can be controlled.
type Edge interface {
	Reload(ctx context.Context) error
	Upgrade(ctx context.Context) (Upgraded, error)
	Status() Status
	Deploys
}

type failure struct {
	Detail string `json:"detail"`
}

// Handler answers GET /status, POST /reload, POST /upgrade and the commands of Deploys. Its server's ConnContext is to be WithPeer.
func Handler(edge Edge) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		httpx.WriteJSON(w, http.StatusOK, edge.Status())
	})
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, r *http.Request) {
		if err := edge.Reload(r.Context()); err != nil {
			httpx.WriteJSON(w, http.StatusUnprocessableEntity, failure{err.Error()})
			return
		}
		httpx.WriteJSON(w, http.StatusOK, edge.Status())
	})
	mux.HandleFunc("POST /upgrade", func(w http.ResponseWriter, r *http.Request) {
		upgraded, err := edge.Upgrade(r.Context())
		if err != nil {
			httpx.WriteJSON(w, http.StatusUnprocessableEntity, failure{err.Error()})
			return
		}
		httpx.WriteJSON(w, http.StatusOK, upgraded)
	})
	handleDeploys(mux, edge)
	return mux
}

// Call sends a command to the edge behind the socket at path and decodes its answer.
func Call(ctx context.Context, path, method, command string, answer any) error {
	response, err := send(ctx, path, method, command, http.NoBody)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return json.NewDecoder(response.Body).Decode(answer)
}

// send asks the edge behind the socket at path; what it refuses is an error.
func send(ctx context.Context, path, method, command string, body io.Reader) (*http.Response, error) {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", path)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, method, "http://edge"+command, body)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("no edge answers on %s (%w): is it running, and does its configuration name this socket as listen.admin?", path, errors.Unwrap(err))
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		return nil, refusal(response)
	}
	return response, nil
}
