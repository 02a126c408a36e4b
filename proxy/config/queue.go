package config

import (
	"cmp"
	"fmt"
	"time"
)

// Queue is where requests wait while each target works on max_requests.
type Queue struct {
	Size    *int          `yaml:"size"` // 0: none may wait
	Timeout time.Duration `yaml:"timeout"`
}

// Retries says how often a request is sent again.
type Retries struct {
	Tries    int           `yaml:"tries"` // in all
	Within   time.Duration `yaml:"within"`
	Broken   bool          `yaml:"broken"`
	Statuses []int         `yaml:"statuses"`
}

// bounds checks how much targets take at once, and how often a request is sent.
func (c *checker) bounds(path string, u Upstream) {
	if u.MaxRequests < 0 || u.MaxRequests > 1_000_000 {
		c.doc.Faultf(path+".max_requests", "%s.max_requests: %d is not between 1 and 1000000", path, u.MaxRequests)
	}
	if u.Queue != nil {
		if u.MaxRequests == 0 {
			c.doc.Faultf(path+".queue", "%s.queue: nothing waits without a bound: add max_requests", path)
		}
		c.number(path+".queue.size", *u.Queue.Size, 0, 100_000)
		c.lasting(path+".queue.timeout", u.Queue.Timeout, 10*time.Millisecond, time.Hour)
	}
	c.number(path+".retries.tries", u.Retries.Tries, 1, 10)
	c.lasting(path+".retries.within", u.Retries.Within, time.Millisecond, time.Hour)
	c.statuses(path+".retries.statuses", u.Retries.Statuses)
	c.statuses(path+".failure_statuses", u.FailureStatuses)
}

func (c *checker) statuses(path string, statuses []int) {
	for i, status := range statuses {
		if status < 400 || status > 599 {
			at := fmt.Sprintf("%s[%d]", path, i)
			c.doc.Faultf(at, "%s: %d is not a status between 400 and 599", at, status)
		}
	}
}

func (q *Queue) fillIn() {
	if q.Size == nil {
		q.Size = new(100)
	}
	q.Timeout = cmp.Or(q.Timeout, 5*time.Second)
}

func (r *Retries) fillIn() {
	r.Tries = cmp.Or(r.Tries, 3)
	r.Within = cmp.Or(r.Within, 10*time.Second)
}
