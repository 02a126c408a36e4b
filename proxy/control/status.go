package control

import "time"

// Configuration is which file serves, and since when.
type Configuration struct {
	File  string    `json:"file,omitempty"`
	Since time.Time `json:"since"` // when it was taken over
}

// Traffic is requests: their number since the edge started, and how they went within about the last minute.
type Traffic struct {
	Requests     uint64  `json:"requests"`
	Recent       uint64  `json:"recent"`         // requests of the last minute, which the rest is about
	PerSecond    float64 `json:"per_second"`     // requests
	ClientErrors float64 `json:"client_errors"`  // the share of answers with a status of 4xx, from 0 to 1
	ServerErrors float64 `json:"server_errors"`  // likewise 5xx
	Median       float64 `json:"median_seconds"` // half of the requests took no longer
	P99          float64 `json:"p99_seconds"`    // 99 of 100 took no longer
}

// Route is a route of a site.
type Route struct {
	Site   string `json:"site"`
	Path   string `json:"path"`
	Action string `json:"action"` // what it does, and with what: upstream app
	Traffic
}

// RateLimit is a limit, and how many requests it refused since the edge started.
type RateLimit struct {
	Name    string `json:"name"`
	Refused uint64 `json:"refused"`
}

// Connections are those of clients.
type Connections struct {
	Open     map[string]int    `json:"open"`     // by listener: http, https, quic
	Accepted map[string]uint64 `json:"accepted"` // since the edge started, likewise
	Failed   uint64            `json:"failed"`   // of their handshake of TLS or PROXY header
}
