package deploy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
)

const (
	version = 1
	// maxBytes bounds the file that is read; what the edge writes stays far below.
	maxBytes = 16 << 20
)

// File is the records of all upstreams, and the file that keeps them. A change is on the disk before it counts. Whenever the
// process or the machine stops, the file holds either all of a change or nothing of it. Methods may be called concurrently.
type File struct {
	path string

	mu      sync.Mutex
	records map[string]Record
}

type content struct {
	Version   int               `json:"version"`
	Upstreams map[string]Record `json:"upstreams"`
}

// Open reads the file at path. One that does not exist is empty. One that cannot be understood is an error, since nobody but
// the operator can tell which targets serve: those of proxy.yaml may be gone for long.
func Open(path string) (*File, error) {
	f := &File{path: path, records: map[string]Record{}}
	raw, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err == nil {
		err = f.decode(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("%s, which keeps the deployed targets, cannot be used (%w): restore it, or remove it to let the targets of proxy.yaml serve", path, err)
	}
	return f, nil
}

func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, unwrapped(err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err != nil {
		return nil, unwrapped(err)
	}
	if len(raw) > maxBytes {
		return nil, errors.New("it is too large")
	}
	return raw, nil
}

func (f *File) decode(raw []byte) error {
	var versioned struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(raw, &versioned); err != nil {
		return err
	}
	if versioned.Version > version {
		return errVersion
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields() // a word misspelt by hand would be forgotten
	var stored content
	if err := decoder.Decode(&stored); err != nil {
		return err
	}
	if stored.Version != version {
		return errors.New("it tells no version")
	}
	for name, record := range stored.Upstreams {
		if err := record.check(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		f.records[name] = record
	}
	return nil
}

// Record is what is known of the upstream of that name. It is not to be changed but by Update.
func (f *File) Record(name string) Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.records[name]
}

// Update changes a record, on the disk first. After an error nothing has changed.
func (f *File) Update(name string, change func(*Record)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	record := f.records[name]
	change(&record)
	next := maps.Clone(f.records)
	next[name] = record
	if err := f.write(next); err != nil {
		return fmt.Errorf("%s cannot be written (%w)", f.path, unwrapped(err))
	}
	f.records = next
	return nil
}

// write replaces the file as a whole: a new one is complete on the disk before it takes the name, and the folder that says so
// is, too, before anybody relies on it.
func (f *File) write(records map[string]Record) error {
	raw, err := json.MarshalIndent(content{version, records}, "", "  ")
	if err != nil {
		return err
	}
	folder := filepath.Dir(f.path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	temporary := f.path + ".new" // always the same, so that a killed process leaves one at most
	if err := writeSynced(temporary, append(raw, '\n')); err != nil {
		return errors.Join(err, remove(temporary))
	}
	if err := os.Rename(temporary, f.path); err != nil {
		return errors.Join(err, remove(temporary))
	}
	opened, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}

func writeSynced(path string, raw []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(raw)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// unwrapped leaves out the path, which the caller tells.
func unwrapped(err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return pathError.Err
	}
	return err
}
