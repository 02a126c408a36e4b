package config

import (
	"cmp"
	"strings"
	"time"

	"github.com/portico-web/portico/proxy/guard"
)

// What a rate limit counts by, besides header:NAME and cookie:NAME. A request without that counts by its client's address.
const (
	KeyClientIP = "client_ip"
	KeySubject  = "jwt_subject" // the subject of the token by which the client passed
)

// longestRefill bounds how long a burst may take to come back; it keeps a limit's arithmetic far from overflow too.
const longestRefill = 366 * 24 * time.Hour

// RateLimit is a named limit that routes refer to.
type RateLimit struct {
	Key   string `yaml:"key"` // client_ip, jwt_subject, header:NAME or cookie:NAME
	Rate  Rate   `yaml:"rate"`
	Burst int    `yaml:"burst"` // 0: as many as the rate's events
}

func (c *checker) rateLimit(path string, limit RateLimit) {
	switch kind, _, _ := strings.Cut(limit.Key, ":"); kind {
	case "header", "cookie":
		if _, err := guard.ParseSource(limit.Key); err != nil {
			c.doc.Faultf(path+".key", "%s.key: %s", path, err)
		}
	default:
		c.oneOf(path+".key", limit.Key, KeyClientIP, KeySubject, "header:NAME", "cookie:NAME")
	}
	if limit.Rate.Events == 0 {
		c.doc.Faultf(path, "%s wants a rate, such as 50/s", path)
	}
	if limit.Burst < 0 || limit.Burst > 1_000_000 {
		c.doc.Faultf(path+".burst", "%s.burst: %d is not between 1 and 1000000", path, limit.Burst)
	} else if limit.Rate.Events > 0 && int64(limit.Burst) > int64(longestRefill/limit.Rate.Period)*int64(limit.Rate.Events) {
		c.doc.Faultf(path+".burst", "%s.burst: at this rate %d take longer than a year to come back: choose a smaller burst or a higher rate", path, limit.Burst)
	}
}

func (l *RateLimit) fillIn() {
	l.Key = cmp.Or(l.Key, KeyClientIP)
	l.Burst = cmp.Or(l.Burst, l.Rate.Events)
}
