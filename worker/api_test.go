package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/portico-web/portico/internal/dbtest"
)

// orderOf are the keys of a JSON object in their order.
func orderOf(t *testing.T, a answer) []string {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(a.body))
	if _, err := decoder.Token(); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	var keys []string
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key.(string))
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

func TestTasksInFlowersShape(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *platform) {
		h := newHands()
		r := p.start(t, h)
		good := p.enqueue(t, hold{"good"}, nil)
		(<-h.began).outcome <- nil
		r.await(t, good, "SUCCESS")
		bad := p.enqueue(t, hold{"bad"}, &river.InsertOpts{MaxAttempts: 1})
		(<-h.began).outcome <- errPanicPlease
		r.await(t, bad, "FAILURE")
		again := p.enqueue(t, hold{"again"}, nil)
		(<-h.began).outcome <- errors.New("not yet")
		r.await(t, again, "RETRY")
		unwanted := p.enqueue(t, hold{"unwanted"}, &river.InsertOpts{ScheduledAt: time.Now().Add(time.Hour)})
		if _, err := p.client.JobCancel(t.Context(), unwanted); err != nil {
			t.Fatal(err)
		}
		now := p.enqueue(t, hold{"now"}, nil)
		<-h.began
		later := p.enqueue(t, hold{"later"}, &river.InsertOpts{ScheduledAt: time.Now().Add(time.Hour)})

		type taskInfo struct {
			UUID, Name, State, Args, Kwargs, Worker, Exception, Traceback, ETA string
			Received, Started, Succeeded, Failed, Revoked, Retried, Runtime    *float64
			Retries                                                            int
		}
		info := func(id int64) taskInfo {
			return decode[taskInfo](t, r.get(t, "/api/task/info/"+strconv.FormatInt(id, 10)))
		}
		if i := info(good); i.UUID != fmt.Sprint(good) || i.Name != "test.hold" || i.State != "SUCCESS" || i.Args != "[]" || i.Kwargs != `{"name":"good"}` ||
			i.Worker != r.ID() || i.Received == nil || i.Started == nil || i.Succeeded == nil || i.Runtime == nil || i.Failed != nil || i.Exception != "" {
			t.Errorf("the task that succeeded: %+v", i)
		}
		if i := info(bad); i.State != "FAILURE" || i.Failed == nil || i.Succeeded != nil || !strings.Contains(i.Exception, "as asked") || !strings.Contains(i.Traceback, "harness_test.go") {
			t.Errorf("the task that failed: %+v", i)
		}
		if i := info(again); i.State != "RETRY" || i.Exception != "not yet" || i.Retried == nil || i.ETA == "" {
			t.Errorf("the task that is tried again: %+v", i)
		}
		if i := info(unwanted); i.State != "REVOKED" || i.Revoked == nil {
			t.Errorf("the cancelled task: %+v", i)
		}
		if i := info(now); i.State != "STARTED" || i.Runtime != nil {
			t.Errorf("the running task: %+v", i)
		}
		if i := info(later); i.State != "PENDING" || i.ETA == "" || i.Started != nil || i.Worker != "" {
			t.Errorf("the scheduled task: %+v", i)
		}

		for query, want := range map[string][]int64{
			"":                          {later, now, unwanted, again, bad, good},
			"limit=2&offset=1":          {now, unwanted},
			"sort_by=received":          {good, bad, again, unwanted, now, later},
			"state=SUCCESS":             {good},
			"state=failure":             {bad},
			"state=PENDING":             {later},
			"state=retryable":           {again},
			"state=REVOKED":             {unwanted},
			"taskname=test.hold":        {later, now, unwanted, again, bad, good},
			"taskname=test.other":       nil,
			"taskname=All":              {later, now, unwanted, again, bad, good},
			"search=aGain":              {again},
			"search=nobody":             nil,
			"workername=" + r.ID():      {now, again, bad, good},
			"workername=x":              nil,
			"received_start=2999-01-01": nil,
			"received_end=2999-01-01+10:00&state=STARTED": {now},
		} {
			var wantKeys []string
			for _, id := range want {
				wantKeys = append(wantKeys, fmt.Sprint(id))
			}
			if diff := cmp.Diff(wantKeys, orderOf(t, r.get(t, "/api/tasks?"+query))); diff != "" {
				t.Errorf("tasks?%s (-want +got)\n%s", query, diff)
			}
		}

		type result struct {
			ID        string `json:"task-id"`
			State     string
			Traceback *string
		}
		if got := decode[result](t, r.get(t, fmt.Sprint("/api/task/result/", bad))); got.ID != fmt.Sprint(bad) || got.State != "FAILURE" || got.Traceback == nil {
			t.Errorf("the result of the task that failed: %+v", got)
		}

		// A running task that is revoked stops, on either database.
		if a := r.request(t, http.MethodPost, fmt.Sprint("/api/task/revoke/", now), ""); a.status != http.StatusOK || decode[map[string]string](t, a)["message"] == "" {
			t.Errorf("revoke: %d %s", a.status, a.body)
		}
		r.await(t, now, "REVOKED")

		// A task that failed runs again from its page.
		if a := r.request(t, http.MethodPost, fmt.Sprint("/task/", bad, "/retry"), ""); a.status != http.StatusSeeOther {
			t.Errorf("retry: %d %s", a.status, a.body)
		}
		if second := <-h.began; second.job.ID != bad {
			t.Errorf("job %d ran, want %d again", second.job.ID, bad)
		} else {
			second.outcome <- nil
		}
		r.await(t, bad, "SUCCESS")
		if a := r.request(t, http.MethodPost, fmt.Sprint("/task/", later, "/cancel"), ""); a.status != http.StatusSeeOther || p.job(t, later).State != rivertype.JobStateCancelled {
			t.Errorf("cancel: %d, the job is %s", a.status, p.job(t, later).State)
		}
	})
}

func TestWorkersInFlowersShape(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *platform) {
		h := newHands()
		r := p.start(t, h, "WORKER_CONCURRENCY=7")
		ended := p.start(t, nil)
		if err := ended.stop(); err != nil {
			t.Fatal(err)
		}
		id := p.enqueue(t, hold{"now"}, nil)
		<-h.began
		type workerInfo struct {
			Stats struct {
				Total map[string]int64
				PID   int
				Pool  map[string]any
			}
			ActiveQueues []struct{ Name string } `json:"active_queues"`
			Registered   []string
			Scheduled    []any
			Active       []struct{ UUID, Name string }
			Reserved     []any
			Revoked      []any
			Conf         map[string]any
			Timestamp    float64
		}
		all := decode[map[string]workerInfo](t, r.get(t, "/api/workers?refresh=1"))
		me, ok := all[r.ID()]
		if !ok || len(all) != 1 {
			t.Fatalf("workers %v, want %s alone: the other has ended", all, r.ID())
		}
		if len(me.Active) != 1 || me.Active[0].UUID != fmt.Sprint(id) || len(me.ActiveQueues) != 1 || me.ActiveQueues[0].Name != "default" || me.Timestamp == 0 ||
			me.Stats.Pool["max-concurrency"] != float64(7) || me.Scheduled == nil || me.Reserved == nil || me.Revoked == nil || me.Conf == nil {
			t.Errorf("the worker: %+v", me)
		}
		if diff := cmp.Diff([]string{"account.welcome_mail", "maintenance.purge_tokens", "test.hold"}, me.Registered); diff != "" {
			t.Errorf("registered (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(map[string]bool{r.ID(): true, ended.ID(): false}, decode[map[string]bool](t, r.get(t, "/api/workers?status=1"))); diff != "" {
			t.Errorf("status (-want +got)\n%s", diff)
		}
		if a := r.get(t, "/api/workers?workername=x"); a.status != http.StatusNotFound {
			t.Errorf("an unknown worker: %d, want 404", a.status)
		}
		if diff := cmp.Diff(map[string][]string{"task-types": me.Registered}, decode[map[string][]string](t, r.get(t, "/api/task/types"))); diff != "" {
			t.Errorf("types (-want +got)\n%s", diff)
		}
		if got := decode[map[string][]map[string]any](t, r.get(t, "/api/queues/length")); len(got["active_queues"]) != 1 || got["active_queues"][0]["name"] != "default" || got["active_queues"][0]["messages"] != float64(0) {
			t.Errorf("queues: %v", got)
		}
	})
}

func TestAsyncApplyEnqueues(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *platform) {
		h := newHands()
		r := p.start(t, h)
		type applied struct {
			ID    string `json:"task-id"`
			State string
		}
		asForm := func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") } // as curl -d sends it
		got := decode[applied](t, r.request(t, http.MethodPost, "/api/task/async-apply/test.hold", `{"args": [], "kwargs": {"name": "from outside"}}`, asForm))
		run := <-h.began
		if fmt.Sprint(run.job.ID) != got.ID || got.State != "PENDING" || !strings.Contains(string(run.job.EncodedArgs), "from outside") {
			t.Errorf("answered %+v, ran job %d with %s", got, run.job.ID, run.job.EncodedArgs)
		}
		run.outcome <- nil
		got = decode[applied](t, r.request(t, http.MethodPost, "/api/task/send-task/test.hold", `{"kwargs": {}, "countdown": 3600}`))
		id, err := strconv.ParseInt(got.ID, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if job := p.job(t, id); job.State != rivertype.JobStateScheduled || time.Until(job.ScheduledAt) < 50*time.Minute {
			t.Errorf("the job is %s, due %s; want it in an hour", job.State, job.ScheduledAt)
		}
	})
}

func TestBadInputGetsAJSONAnswer(t *testing.T) {
	t.Parallel()
	r := newPlatform(t, dbtest.SQLite(t)).start(t, newHands())
	for _, test := range []struct {
		method, path, body string
		want               int
		about              string // a part of the answer
	}{
		{"POST", "/api/task/async-apply/test.unknown", `{}`, 404, "test.unknown"},
		{"POST", "/api/task/async-apply/test.hold", `{"kwargs": {"name": "x", "evil": 1}}`, 400, "evil"},
		{"POST", "/api/task/async-apply/test.hold", `{"kwargs": {"name": 7}}`, 400, "name"},
		{"POST", "/api/task/async-apply/test.hold", `{"kwargs": [1]}`, 400, "detail"},
		{"POST", "/api/task/async-apply/test.hold", `{"kwargs": "x"}`, 400, "detail"},
		{"POST", "/api/task/async-apply/test.hold", `{"args": [1]}`, 400, "args"},
		{"POST", "/api/task/async-apply/test.hold", `{"args": {"a": 1}}`, 400, "args"},
		{"POST", "/api/task/async-apply/test.hold", `{"kwargs": {`, 400, "JSON parse error"},
		{"POST", "/api/task/async-apply/test.hold", `[]`, 400, "JSON parse error"},
		{"POST", "/api/task/async-apply/test.hold", `name=x`, 400, "JSON parse error"},
		{"POST", "/api/task/async-apply/test.hold", `{"kwargs": {}, "countdown": -1}`, 400, "countdown"},
		{"POST", "/api/task/async-apply/test.hold", `{"kwargs": {}, "eta": "soon"}`, 400, "eta"},
		{"POST", "/api/task/async-apply/test.hold", `{"kwargs": {}, "queue": "other"}`, 400, "queue"},
		{"POST", "/api/task/async-apply/test.hold", `{"kwargs": {"name": "` + strings.Repeat("x", 2<<20) + `"}}`, 413, "detail"},
		{"POST", "/api/task/revoke/1", "", 404, "detail"},
		{"POST", "/api/task/revoke/x", "", 404, "detail"},
		{"GET", "/api/task/info/1", "", 404, "detail"},
		{"GET", "/api/task/info/-1", "", 404, "detail"},
		{"GET", "/api/task/info/99999999999999999999", "", 404, "detail"},
		{"GET", "/api/task/info/1%20OR%201=1", "", 404, "detail"},
		{"GET", "/api/task/result/x", "", 404, "detail"},
		{"GET", "/api/nothing", "", 404, "detail"},
		{"GET", "/api/tasks?state=ODD", "", 400, "state"},
		{"GET", "/api/tasks?limit=x&offset=-1", "", 400, "offset"},
		{"GET", "/api/tasks?sort_by=id%3BDROP", "", 400, "sort_by"},
		{"GET", "/api/tasks?received_start=yesterday", "", 400, "received_start"},
		{"GET", "/api/tasks?search=" + strings.Repeat("x", 300), "", 400, "search"},
		{"GET", "/api/tasks?search=%27%22%5C%25%FF", "", 200, "{}"},
		{"GET", "/api/tasks?search=%00", "", 400, "Null"},
		{"GET", "/api/tasks?taskname=%00", "", 400, "Null"},
		{"GET", "/api/tasks?workername=%00", "", 400, "Null"},
		{"POST", "/api/task/async-apply/test.hold", `{"kwargs": {"name": "\u0000"}}`, 400, "Null"},
		{"POST", "/api/task/async-apply/test.hold", `{"kwargs": {"name": "\\\u0000"}}`, 400, "Null"},
		{"POST", "/api/task/async-apply/test.hold", `{"kwargs": {"name": "\\u0000"}}`, 200, "PENDING"},
		{"POST", "/api/tasks", "", 405, "detail"},
		{"GET", "/api/task/async-apply/test.hold", "", 405, "detail"},
		{"DELETE", "/api/workers", "", 405, "detail"},
		{"GET", "/api/tasks?offset=999999999&limit=999999999", "", 200, "{}"},
	} {
		a := r.request(t, test.method, test.path, test.body)
		if allow := a.header.Get("Allow"); (allow != "") != (test.want == http.StatusMethodNotAllowed) {
			t.Errorf("%s %s: %d with Allow: %q", test.method, test.path, a.status, allow)
		}
		if a.status != test.want || !strings.Contains(a.body, test.about) || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
			t.Errorf("%s %.80s %.60s: %d %.200s; want %d about %q", test.method, test.path, test.body, a.status, a.body, test.want, test.about)
		}
	}
}

func TestNewsReachOpenPagesAndStreamsEndWithTheWorker(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *platform) {
		h := newHands()
		r := p.start(t, h)
		events := r.stream(t)
		if e := <-events; e.name != "hello" {
			t.Fatalf("the first event is %+v, want hello", e)
		}
		id := p.enqueue(t, hold{"secret"}, nil)
		run := <-h.began
		seen := func(state string) {
			for e := range events {
				if e.name == "change" && strings.Contains(e.data, fmt.Sprintf(`"uuid":"%d","name":"test.hold","state":%q`, id, state)) {
					return
				}
				if strings.Contains(e.data, `"more":true`) && strings.Contains(r.get(t, fmt.Sprint("/api/task/info/", id)).body, `"state":"`+state+`"`) {
					return
				}
			}
			t.Fatalf("the stream ended before it told of %s", state)
		}
		seen("STARTED")
		run.outcome <- nil
		seen("SUCCESS")
		go func() { _ = r.stop() }()
		for range events { // ends with the worker
		}
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestPageThatJoinsOthersIsToldToLoadEverything(t *testing.T) {
	t.Parallel()
	r := newPlatform(t, dbtest.SQLite(t)).start(t, nil)
	for range 3 {
		events := r.stream(t)
		if hello, first := <-events, <-events; hello.name != "hello" || first.name != "change" || !strings.Contains(first.data, `"more":true`) {
			t.Errorf("the stream begins with %+v and %+v, want hello and a change that says more", hello, first)
		}
	}
}

func TestPagesAnswerOddAddressesWithoutFailing(t *testing.T) {
	t.Parallel()
	r := newPlatform(t, dbtest.SQLite(t)).start(t, nil)
	for path, want := range map[string]int{"/worker/%00": 400, "/tasks?workername=%00": 400, "/worker/%ff": 404, "/task/%00": 400, "/nothing": 404} {
		if a := r.get(t, path); a.status != want || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %d, want a page with %d", path, a.status, want)
		}
	}
	if a := r.request(t, http.MethodDelete, "/tasks", ""); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("DELETE /tasks: %d, Allow %q", a.status, a.header.Get("Allow"))
	}
}

func TestPagesShowHostileArgumentsAsTextAndNoSecrets(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *platform) {
		h := newHands()
		r := p.start(t, h)
		const hostile = `</code><script>alert(1)</script><img src=x onerror=alert(2)>"'&`
		id := p.enqueue(t, hold{hostile}, &river.InsertOpts{MaxAttempts: 1})
		(<-h.began).outcome <- errors.New(hostile)
		r.await(t, id, "FAILURE")
		if _, err := p.db.NewRaw(`UPDATE river_job SET args = ? WHERE id = ?`, jsonb(p, `{"name":`+strconv.Quote(hostile)+`,"user":{"Password":"s3cret-1","reset_token":"s3cret-2"},"list":[{"client_secret":"s3cret-3"}]}`), id).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{fmt.Sprint("/task/", id), "/tasks", "/tasks?search=" + url.QueryEscape(hostile), "/tasks?workername=" + url.QueryEscape(hostile), "/tasks?state=" + url.QueryEscape(hostile), "/worker/" + url.PathEscape(hostile)} {
			a := r.get(t, path)
			for _, evil := range []string{"<script>alert", "<img src=x", "s3cret"} {
				if strings.Contains(a.body, evil) {
					t.Errorf("%s holds %s as it came", path, evil)
				}
			}
			if !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
				t.Errorf("%s is %s", path, a.header.Get("Content-Type"))
			}
		}
		if page := r.get(t, fmt.Sprint("/task/", id)).body; strings.Count(page, "[redacted]") != 3 {
			t.Errorf("the page hides %d of 3 secrets", strings.Count(page, "[redacted]"))
		}
		if info := r.get(t, fmt.Sprint("/api/task/info/", id)).body; strings.Contains(info, "s3cret") {
			t.Errorf("the API tells a secret: %s", info)
		}
	})
}

// jsonb is a JSON document as the database's own expression.
func jsonb(p *platform, document string) any {
	if p.db.IsPostgres() {
		return document
	}
	return []byte(document)
}

func TestListOfTasksInPages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *platform) {
		r := p.start(t, nil)
		in := &river.InsertOpts{ScheduledAt: time.Now().Add(time.Hour)}
		for i := range 120 {
			p.enqueue(t, hold{fmt.Sprint("task ", i)}, in)
		}
		for path, want := range map[string]struct {
			rows           int
			previous, next bool
			text           string
		}{
			"/tasks":                    {50, false, true, "1–50 / 120"},
			"/tasks?page=2":             {50, true, true, "51–100 / 120"},
			"/tasks?page=3":             {20, true, false, "101–120 / 120"},
			"/tasks?page=4":             {0, true, false, ""},
			"/tasks?search=task+11":     {11, false, false, "1–11 / 11"},
			"/tasks?state=SUCCESS":      {0, false, false, "조건에 맞는 작업이 없습니다"},
			"/tasks?taskname=test.hold": {50, false, true, "1–50 / 120"},
		} {
			a := r.request(t, http.MethodGet, path, "", func(r *http.Request) { r.Header.Set("Accept-Language", "ko-KR") })
			if rows := strings.Count(a.body, "<tr data-key="); a.status != http.StatusOK || rows != want.rows {
				t.Errorf("%s: %d with %d rows, want %d", path, a.status, rows, want.rows)
			}
			if got := strings.Contains(a.body, `rel="next"`); got != want.next {
				t.Errorf("%s: a next page is %v, want %v", path, got, want.next)
			}
			if got := strings.Contains(a.body, `rel="prev"`); got != want.previous {
				t.Errorf("%s: a page before is %v, want %v", path, got, want.previous)
			}
			if !strings.Contains(a.body, want.text) {
				t.Errorf("%s lacks %q", path, want.text)
			}
		}
		for path, want := range map[string]int{"/tasks?page=0": 404, "/tasks?page=x": 404, "/tasks?page=201": 404, "/tasks?state=odd": 400, "/nothing": 404, "/task/x": 404, "/worker/x": 404} {
			if a := r.get(t, path); a.status != want || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
				t.Errorf("%s: %d %s, want a page with %d", path, a.status, a.header.Get("Content-Type"), want)
			}
		}
	})
}

func TestMetricsAndReadiness(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *platform) {
		h := newHands()
		r := p.start(t, h)
		good := p.enqueue(t, hold{"good"}, nil)
		(<-h.began).outcome <- nil
		r.await(t, good, "SUCCESS")
		bad := p.enqueue(t, hold{"bad"}, &river.InsertOpts{MaxAttempts: 1})
		(<-h.began).outcome <- errors.New("no")
		r.await(t, bad, "FAILURE")
		families, err := r.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				name := family.GetName()
				for _, label := range metric.GetLabel() {
					name += " " + label.GetValue()
				}
				switch {
				case metric.Counter != nil:
					got[name] = metric.Counter.GetValue()
				case metric.Gauge != nil:
					got[name] = metric.Gauge.GetValue()
				case metric.Histogram != nil:
					got[name] = float64(metric.Histogram.GetSampleCount())
				}
			}
		}
		for name, want := range map[string]float64{
			"portico_jobs_total test.hold succeeded": 1, "portico_jobs_total test.hold failed": 1, "portico_job_runtime_seconds test.hold": 2,
			"portico_jobs_running": 0, "portico_queue_jobs completed": 1, "portico_queue_jobs discarded": 1, "portico_queue_jobs available": 0,
		} {
			if value, ok := got[name]; !ok || value != want {
				t.Errorf("%s is %v (%v), want %v", name, value, ok, want)
			}
		}
		if report := r.checks.Look(context.WithoutCancel(t.Context())); report.Checks["worker"].Status != "ok" {
			t.Errorf("readiness is %+v", report)
		}
	})
}
