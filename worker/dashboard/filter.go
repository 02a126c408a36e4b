package dashboard

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/queue"
)

const maxSearch = 200

// sortings are the columns that a list may be sorted by, in Flower's words. The order in which tasks were received is that
// of their numbers.
func sortings() map[string]queue.Order {
	return map[string]queue.Order{
		"uuid": queue.ByID, "received": queue.ByID, "timestamp": queue.ByID, "name": queue.ByKind, "state": queue.ByState,
		"started": queue.ByAttempted, "succeeded": queue.ByFinalized, "finished": queue.ByFinalized, "runtime": queue.ByRuntime,
		"worker": queue.ByWorker, "retries": queue.ByAttempt, "attempt": queue.ByAttempt, "eta": queue.ByScheduled,
		"queue": queue.ByQueue, "routing_key": queue.ByQueue, "priority": queue.ByPriority,
	}
}

// parseFilter reads what both the API's and the page's query string say about which tasks to show, in which order. All faults
// are told together.
func parseFilter(values url.Values) (queue.Query, error) {
	var q queue.Query
	faults := &fault.Error{Kind: fault.Invalid}
	if text := values.Get("state"); text != "" {
		found, ok := parseState(text)
		if !ok {
			faults.With("state", "Not a state of tasks.")
		}
		q.States = found
	}
	q.Kind, q.Worker, q.Search = values.Get("taskname"), values.Get("workername"), strings.TrimSpace(values.Get("search"))
	for name, value := range map[string]string{"taskname": q.Kind, "workername": q.Worker, "search": q.Search} {
		if len(value) > maxSearch {
			faults.With(name, "Too long.")
		}
	}
	if q.Kind == "All" { // what Flower's own page sends for no choice
		q.Kind = ""
	}
	if q.Worker == "All" {
		q.Worker = ""
	}
	for name, target := range map[string]*time.Time{"received_start": &q.From, "received_end": &q.To} {
		if text := values.Get(name); text != "" {
			at, ok := parseTime(text)
			if !ok {
				faults.With(name, "Not a time such as 2026-01-31 15:04.")
			}
			*target = at
		}
	}
	sort := values.Get("sort_by")
	if sort == "" {
		sort = "-received"
	}
	name, descending := strings.CutPrefix(sort, "-")
	order, known := sortings()[name]
	if !known {
		faults.With("sort_by", "Not a column to sort by.")
	}
	q.Order, q.Ascending = order, !descending
	for name, target := range map[string]*int{"limit": &q.Limit, "offset": &q.Offset} {
		text := values.Get(name)
		if text == "" {
			continue
		}
		number, err := strconv.Atoi(text)
		if err != nil || number < 0 {
			faults.With(name, "Not a number from 0.")
		}
		*target = number
	}
	if len(faults.Fields) > 0 {
		return q, faults
	}
	return q, nil
}

// parseTime reads the forms that Flower and browsers' date fields send; without a zone it is UTC.
func parseTime(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	if number, err := strconv.ParseFloat(text, 64); err == nil && number > 0 && number < 1e11 {
		return time.UnixMicro(int64(number * 1e6)), true
	}
	return time.Time{}, false
}
