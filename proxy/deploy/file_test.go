package deploy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/deploy"
)

func open(t *testing.T, path string) *deploy.File {
	t.Helper()
	file, err := deploy.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestWhatWasDecidedIsReadAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "made", "deploys.json")
	first := open(t, path)
	if record := first.Record("app"); record.Live != nil || record.Last() != nil {
		t.Errorf("%+v", record)
	}
	at := time.Now().UTC()
	for i := range 30 {
		if err := first.Update("app", func(r *deploy.Record) {
			r.Previous, r.Live = r.Live, []string{fmt.Sprintf("127.0.0.1:%d", 8000+i)}
			r.Note(deploy.Event{Time: at.Add(time.Duration(i)), Action: "deploy", By: "root"})
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.Update("app", func(r *deploy.Record) { r.Conclude(at.Add(29), "drained") }); err != nil {
		t.Fatal(err)
	}
	record := open(t, path).Record("app")
	if !slices.Equal(record.Live, []string{"127.0.0.1:8029"}) || !slices.Equal(record.Previous, []string{"127.0.0.1:8028"}) ||
		len(record.History) != 20 || record.Last().Outcome != "drained" || !record.History[0].Time.Equal(at.Add(10)) {
		t.Errorf("%+v", record)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestAFileThatCannotBeUnderstoodIsNotUsed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ content, says string }{
		"empty":         {"", "unexpected end"},
		"cut off":       {`{"version": 1, "upstreams": {"app"`, "unexpected end"},
		"zeros":         {strings.Repeat("\x00", 100), "invalid character"},
		"newer":         {`{"version": 2, "upstreams": {}, "more": 1}`, "a newer version"},
		"no version":    {`{}`, "tells no version"},
		"unknown key":   {`{"version": 1, "upstreams": {"app": {"lives": []}}}`, "unknown field"},
		"no target":     {`{"version": 1, "upstreams": {"app": {"live": ["app"]}}}`, "app: \"app\" is not a target"},
		"named twice":   {`{"version": 1, "upstreams": {"app": {"previous": ["a:1", "a:1"]}}}`, "named twice"},
		"more than one": {`{"version": 1, "upstreams": {}} {}`, "after top-level value"},
		"large":         {strings.Repeat(" ", 17<<20), "too large"},
	} {
		path := filepath.Join(t.TempDir(), "deploys.json")
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := deploy.Open(path)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "restore it, or remove it") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := deploy.Open(t.TempDir()); err == nil {
		t.Error("a folder is read")
	}
}

func TestAChangeThatCannotBeKeptIsNone(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "deploys.json")
	file := open(t, path)
	live := func(target string) error {
		return file.Update("app", func(r *deploy.Record) { r.Live = []string{target} })
	}
	if err := live("a:1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path+".new", 0o700); err != nil { // where the next one is written
		t.Fatal(err)
	}
	err := live("b:1")
	if err == nil || !strings.Contains(err.Error(), "deploys.json cannot be written (is a directory)") {
		t.Error(err)
	}
	for _, record := range []deploy.Record{file.Record("app"), open(t, path).Record("app")} {
		if !slices.Equal(record.Live, []string{"a:1"}) {
			t.Errorf("%+v", record)
		}
	}
	// What a killed process was writing is in nobody's way.
	if err := os.RemoveAll(path + ".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := live("c:1"); err != nil {
		t.Error(err)
	}
}
