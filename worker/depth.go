package worker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portico-web/portico/internal/queue"
)

const (
	// depthFresh is how long counts are kept, so that scraping more often costs nothing.
	depthFresh   = 5 * time.Second
	depthTimeout = 2 * time.Second
)

// depth tells Prometheus how many jobs there are in each state when it asks. Counts stop at queue.CountCap.
type depth struct {
	client *queue.Client
	log    *slog.Logger
	desc   *prometheus.Desc

	mu    sync.Mutex
	taken time.Time
	last  queue.Counts
}

func newDepth(client *queue.Client, log *slog.Logger) *depth {
	return &depth{client: client, log: log, desc: prometheus.NewDesc("portico_queue_jobs",
		"Jobs in the queue by state, as all workers see them; 10000 stands for that many or more.", []string{"state"}, nil)}
}

// Describe is prometheus.Collector's.
func (d *depth) Describe(descs chan<- *prometheus.Desc) { descs <- d.desc }

// Collect is prometheus.Collector's. While the database does not answer there are no figures.
func (d *depth) Collect(metrics chan<- prometheus.Metric) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.taken) > depthFresh {
		ctx, cancel := context.WithTimeout(context.Background(), depthTimeout)
		defer cancel()
		counts, err := d.client.Counts(ctx)
		if err != nil {
			d.log.Warn("jobs could not be counted for the metrics", "error", err)
			return
		}
		d.last, d.taken = counts, time.Now()
	}
	for state, count := range d.last {
		metrics <- prometheus.MustNewConstMetric(d.desc, prometheus.GaugeValue, float64(count), string(state))
	}
}
