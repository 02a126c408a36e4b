package dashboard

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/riverqueue/river/rivertype"

	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/queue"
)

// perPage is how many tasks a page of the list shows.
const perPage = 50

// row is a task in a list.
type row struct {
	ID          int64
	Name        string
	State       State
	Args        string
	Received    time.Time
	Started     *time.Time
	Finished    *time.Time
	ETA         *time.Time
	Runtime     time.Duration
	HasRuntime  bool
	Running     bool
	Worker      string
	Attempt     int
	MaxAttempts int
	Error       string
}

// maxShown bounds how much of its arguments, or of its last error, a list shows of a task, in characters.
const maxShown = 160

func rows(found []*rivertype.JobRow) []row {
	now := time.Now()
	shown := make([]row, len(found))
	for i, job := range found {
		shown[i] = row{
			ID: job.ID, Name: job.Kind, State: stateOf(job.State), Args: shorten(string(redact(job.EncodedArgs))), Received: job.CreatedAt,
			Started: job.AttemptedAt, Finished: job.FinalizedAt, Worker: workerOf(job), Attempt: job.Attempt, MaxAttempts: job.MaxAttempts,
			Running: job.State == rivertype.JobStateRunning,
		}
		shown[i].Runtime, shown[i].HasRuntime = runtimeOf(job, now)
		if job.State == rivertype.JobStateScheduled || job.State == rivertype.JobStateRetryable {
			shown[i].ETA = &job.ScheduledAt
		}
		if last := len(job.Errors) - 1; last >= 0 && job.State != rivertype.JobStateCompleted {
			shown[i].Error = shorten(job.Errors[last].Error)
		}
	}
	return shown
}

func shorten(text string) string {
	if runes := []rune(text); len(runes) > maxShown {
		return string(runes[:maxShown]) + "…"
	}
	return text
}

// Took is the runtime as people read it.
func (r row) Took() string { return took(r.Runtime) }

func took(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// chip is a state to choose, with its number of tasks.
type chip struct {
	State    State
	Count    string
	Selected bool
	Link     string
}

// column is a heading to sort by; Mark shows the direction where it is the current one.
type column struct {
	Title, Link, Mark string
	Class             string
}

type tasksBody struct {
	Rows           []row
	Chips          []chip
	Columns        []column
	Kinds          []string
	Kind, Search   string
	Worker, State  string
	Sort           string
	From, To       int
	Total          string
	Previous, Next string
	Filtered       bool
	Clear          string
}

// tasksPage lists tasks: chosen by state, name, worker and a search in their arguments, sorted, a page at a time.
func (d *Dashboard) tasksPage(w http.ResponseWriter, r *http.Request) error {
	values := r.URL.Query()
	query, err := parseFilter(values)
	if err != nil {
		return err
	}
	number := 1
	if text := values.Get("page"); text != "" {
		if number, err = strconv.Atoi(text); err != nil || number < 1 || number > queue.Window/perPage {
			return fault.New(fault.NotFound, "Invalid page.")
		}
	}
	query.Limit, query.Offset = perPage, (number-1)*perPage
	found, total, err := d.client.List(r.Context(), query)
	if err != nil {
		return err
	}
	counted, err := d.client.Counts(r.Context())
	if err != nil {
		return err
	}
	link := func(changes ...string) string { return linkWith(values, changes...) }
	body := tasksBody{
		Rows: rows(found), Kinds: d.jobs.Kinds(), Kind: query.Kind, Search: query.Search, Worker: query.Worker, State: values.Get("state"),
		Sort: values.Get("sort_by"), From: query.Offset + 1, To: query.Offset + len(found), Total: capped(total, queue.Window),
		Columns: columns(values), Filtered: query.Kind != "" || query.Search != "" || query.Worker != "" || len(query.States) > 0, Clear: Prefix + "/tasks",
	}
	body.Chips = append(body.Chips, chip{State: "ALL", Selected: len(query.States) == 0, Link: link("state", "")})
	counts := countsByState(counted)
	for _, state := range states() {
		body.Chips = append(body.Chips, chip{
			State: state, Count: capped(counts[state], queue.CountCap), Link: link("state", string(state)),
			Selected: len(query.States) > 0 && stateOf(query.States[0]) == state,
		})
	}
	if number > 1 {
		body.Previous = link("page", strconv.Itoa(number-1))
	}
	if query.Offset+len(found) < total {
		body.Next = link("page", strconv.Itoa(number+1))
	}
	return d.render(w, r, http.StatusOK, "tasks", page{Title: "Tasks", Section: "tasks", Watch: "tasks", Body: body})
}

// capped is a count that may have stopped at limit.
func capped(count, limit int) string {
	if count >= limit {
		return strconv.Itoa(limit/1000) + "k+"
	}
	return strconv.Itoa(count)
}

// linkWith is the list's address with some parameters changed; one that becomes empty goes, and so does the page number
// unless it is what changes.
func linkWith(values url.Values, changes ...string) string {
	next := url.Values{}
	for _, name := range []string{"state", "taskname", "workername", "search", "received_start", "received_end", "sort_by"} {
		if value := values.Get(name); value != "" {
			next.Set(name, value)
		}
	}
	for i := 0; i+1 < len(changes); i += 2 {
		next.Del(changes[i])
		if changes[i+1] != "" {
			next.Set(changes[i], changes[i+1])
		}
	}
	if len(next) == 0 {
		return Prefix + "/tasks"
	}
	return Prefix + "/tasks?" + next.Encode()
}

func columns(values url.Values) []column {
	current := values.Get("sort_by")
	if current == "" {
		current = "-received"
	}
	var found []column
	for _, c := range []struct{ name, title, class string }{
		{"name", "Task", ""}, {"state", "State", ""}, {"", "Arguments", "wide"}, {"received", "Received", ""},
		{"runtime", "Runtime", "number"}, {"attempt", "Attempt", "number"}, {"worker", "Worker", ""},
	} {
		heading := column{Title: c.title, Class: c.class}
		if c.name != "" {
			heading.Link = linkWith(values, "sort_by", "-"+c.name)
			switch current {
			case c.name:
				heading.Mark = "ascending"
			case "-" + c.name:
				heading.Mark, heading.Link = "descending", linkWith(values, "sort_by", c.name)
			}
		}
		found = append(found, heading)
	}
	return found
}
