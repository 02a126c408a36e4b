package logging

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"
)

// Rotation says when a log file makes way for a new one, and what is kept. Zero members set no bound.
type Rotation struct {
	Size int64         // bytes of a file, about
	Keep int           // files besides the one that is written; more are deleted
	Age  time.Duration // of files that are kept; older ones are deleted
}

// File is a log file. It makes way for a new one as its rotation says: path becomes path.1, path.1 becomes path.2, and so on.
// When something else moved it away, what is written next goes to a new file of its name. It is safe for concurrent use.
type File struct {
	path     string
	rotation Rotation

	mu     sync.Mutex
	file   *os.File
	closed bool
	torn   bool      // the last line may lack its end
	rested time.Time // no rotation is tried before: the last one failed
}

// OpenFile opens a log file for writing at its end, and makes it, with the mode 0640, if there is none.
func OpenFile(path string, rotation Rotation) (*File, error) {
	f := &File{path: path, rotation: rotation}
	if err := f.open(); err != nil {
		return nil, err
	}
	return f, nil
}

// mode of a log file: other users have no business in it.
const mode = 0o640

func (f *File) open() (err error) {
	f.file, err = os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, mode)
	return err
}

// Write writes whole lines. After a failure, such as a full disk, the next lines begin on a line of their own.
func (f *File) Write(lines []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ready(len(lines)); err != nil {
		return 0, err
	}
	if f.closed {
		defer f.shut()
	}
	if f.torn {
		if _, err := f.file.WriteString("\n"); err != nil {
			return 0, err
		}
	}
	n, err := f.file.Write(lines)
	f.torn = n > 0 && lines[n-1] != '\n' || n == 0 && f.torn && err != nil
	return n, err
}

// ready sees to it that the file of this name is open, and has room for more.
func (f *File) ready(more int) error {
	if f.file == nil {
		return f.open()
	}
	open, err := f.file.Stat()
	if err != nil {
		return err
	}
	if named, err := os.Stat(f.path); err != nil || !os.SameFile(open, named) {
		f.shut()
		f.torn = false
		return f.open()
	}
	if size := f.rotation.Size; size > 0 && open.Size() > 0 && open.Size()+int64(more) > size && time.Now().After(f.rested) {
		if err := f.rotate(); err != nil {
			f.rested = time.Now().Add(time.Minute)
		}
	}
	if f.file == nil {
		return f.open()
	}
	return nil
}

// rotate moves the files one on. When that cannot be, the one that is open serves on.
func (f *File) rotate() error {
	last := f.rotation.Keep
	if last == 0 {
		f.torn = false
		return f.file.Truncate(0)
	}
	if err := os.Remove(f.numbered(last)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for n := last - 1; n >= 1; n-- {
		if err := os.Rename(f.numbered(n), f.numbered(n+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(f.path, f.numbered(1)); err != nil {
		return err
	}
	f.shut()
	f.torn = false
	f.forget()
	return nil
}

// forget deletes the files that are older than they may get.
func (f *File) forget() {
	if f.rotation.Age == 0 {
		return
	}
	for n := 1; n <= f.rotation.Keep; n++ {
		if info, err := os.Lstat(f.numbered(n)); err == nil && time.Since(info.ModTime()) > f.rotation.Age {
			_ = os.Remove(f.numbered(n))
		}
	}
}

func (f *File) numbered(n int) string { return f.path + "." + strconv.Itoa(n) }

func (f *File) shut() {
	if f.file != nil {
		_ = f.file.Close()
		f.file = nil
	}
}

// Close closes the file. What is written afterwards still reaches it: it is opened for each Write.
func (f *File) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.shut()
}
