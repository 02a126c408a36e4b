package logging_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-web/portico/internal/logging"
)

func open(t *testing.T, path string, rotation logging.Rotation) *logging.File {
	t.Helper()
	file, err := logging.OpenFile(path, rotation)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(file.Close)
	return file
}

func say(t *testing.T, file *logging.File, lines string) {
	t.Helper()
	if n, err := file.Write([]byte(lines)); err != nil || n != len(lines) {
		t.Fatalf("%d, %v", n, err)
	}
}

// holds tells what lies in the folder: a file's name, and what is in it.
func holds(t *testing.T, folder string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files = append(files, filepath.Base(path)+"="+string(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestAFileMakesWayForANewOneAndSomeAreKept(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "access.log")
	file := open(t, path, logging.Rotation{Size: 8, Keep: 2})
	for _, lines := range []string{"one\n", "two\n", "three\n", "four, which is too long\n", "five\n"} {
		say(t, file, lines)
	}
	want := []string{"access.log=five\n", "access.log.1=four, which is too long\n", "access.log.2=three\n"}
	if got := holds(t, folder); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestWithoutKeptFilesTheOneBeginsAnew(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := filepath.Join(folder, "access.log")
	if err := os.WriteFile(write+".1", []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := open(t, write, logging.Rotation{Size: 8})
	say(t, file, "one, two\n")
	say(t, file, "three\n")
	if got := holds(t, folder); !slices.Equal(got, []string{"access.log=three\n", "access.log.1=somebody's"}) {
		t.Errorf("%q", got)
	}
}

func TestOldFilesAreDeleted(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "access.log")
	if err := os.WriteFile(path+".1", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path+".1", time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	file := open(t, path, logging.Rotation{Size: 1, Keep: 5, Age: time.Minute})
	say(t, file, "one\n")
	say(t, file, "two\n")
	if got := holds(t, folder); !slices.Equal(got, []string{"access.log=two\n", "access.log.1=one\n"}) {
		t.Errorf("%q", got)
	}
}

func TestAFileThatWasMovedAwayIsOpenedAnew(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "access.log")
	file := open(t, path, logging.Rotation{})
	say(t, file, "one\n")
	if err := os.Rename(path, path+"-yesterday"); err != nil {
		t.Fatal(err)
	}
	say(t, file, "two\n")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	say(t, file, "three\n")
	file.Close()
	say(t, file, "four\n")
	if got := holds(t, folder); !slices.Equal(got, []string{"access.log=three\nfour\n", "access.log-yesterday=one\n"}) {
		t.Errorf("%q", got)
	}
}

func TestAFileThatCannotMakeWayServesOn(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "access.log")
	if err := os.MkdirAll(filepath.Join(path+".1", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := open(t, path, logging.Rotation{Size: 1, Keep: 1})
	say(t, file, "one\n")
	say(t, file, "two\n")
	if got := holds(t, folder); !slices.Equal(got, []string{"access.log=one\ntwo\n"}) {
		t.Errorf("%q", got)
	}
}

func TestAFullDiskLosesLinesAndCountsThem(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	lines := logging.LinesTo(open(t, "/dev/full", logging.Rotation{}), "json", "request")
	for range 3 {
		lines.Begin(time.Now()).End()
	}
	lines.Flush()
	if lines.Dropped() != 3 {
		t.Errorf("%d", lines.Dropped())
	}
}

// stuck is a writer that takes nothing until it is released.
type stuck struct {
	entered, release chan struct{}
	took             strings.Builder
}

func (s *stuck) Write(p []byte) (int, error) {
	select {
	case s.entered <- struct{}{}:
	default:
	}
	<-s.release
	return s.took.Write(p)
}

func TestNobodyWaitsForAWriterThatTakesNothing(t *testing.T) {
	t.Parallel()
	writer := &stuck{entered: make(chan struct{}, 1), release: make(chan struct{})}
	lines := logging.LinesTo(writer, "json", "request")
	filler := strings.Repeat("x", 1<<10)
	const many = 3000 // three times what may wait
	for i := range many {
		line := lines.Begin(time.Now())
		line.String("filler", filler)
		line.End()
		if i == 40 { // more than what is written at the latest
			<-writer.entered
		}
	}
	dropped := lines.Dropped()
	if dropped < many/3 || dropped > many*2/3+100 {
		t.Errorf("%d are dropped", dropped)
	}
	close(writer.release)
	lines.Flush()
	if got := strings.Count(writer.took.String(), "\n"); int64(got) != many-dropped || lines.Dropped() != dropped {
		t.Errorf("%d are written, %d dropped", got, lines.Dropped())
	}
}
