package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// dataFolder is the folder that holds everything the embedded platform keeps: database, certificates, secrets.
type dataFolder struct {
	path string
	lock *os.File
}

// openData makes the folder on first use and takes it for this process alone.
func openData(path string) (*dataFolder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("--data %s: %w", path, err)
	}
	if strings.Contains(path, "?") {
		return nil, fmt.Errorf("--data %s: a question mark cannot be part of a database's address: choose another folder", path)
	}
	for _, folder := range []string{path, filepath.Join(path, "secrets")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, fmt.Errorf("--data %s: cannot make the folder (%w): choose one that you may write to", path, rootCause(err))
		}
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--data %s: cannot write there (%w): choose a folder that you may write to", path, rootCause(err))
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("--data %s: another portico runs on this folder: stop it, or choose another folder", path)
	}
	// Nobody else is here, so that locks on certificates are a killed process's; they would be waited for.
	if err := os.RemoveAll(filepath.Join(path, "certificates", "locks")); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("--data %s: cannot write there (%w): choose a folder that you may write to", path, rootCause(err))
	}
	return &dataFolder{path, lock}, nil
}

func (d *dataFolder) close() error { return d.lock.Close() }

func (d *dataFolder) file(name string) string { return filepath.Join(d.path, name) }

// secret returns the secret of this name, at least 32 bytes long, and makes it up on first use.
func (d *dataFolder) secret(name string) (string, error) {
	path := filepath.Join(d.path, "secrets", name)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		raw := make([]byte, 48)
		_, _ = rand.Read(raw)
		fresh := base64.RawURLEncoding.EncodeToString(raw)
		return fresh, writeFile(path, []byte(fresh+"\n"))
	}
	if err != nil {
		return "", fmt.Errorf("secret file %s: cannot read it (%w): give it back to this user, or restore it from a backup", path, rootCause(err))
	}
	text := strings.TrimSpace(string(content))
	if raw, err := base64.RawURLEncoding.DecodeString(text); err != nil || len(raw) < 32 {
		return "", fmt.Errorf("secret file %s: corrupt: restore it from a backup, or delete it (everyone is signed out then)", path)
	}
	return text, nil
}

// writeFile writes a file that only its owner may read, whole or not at all.
func writeFile(path string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("%s: cannot write (%w): check the folder's rights and the free space", path, rootCause(err))
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("%s: cannot write (%w): check the folder's rights and the free space", path, rootCause(err))
	}
	return nil
}

// rootCause is the innermost error: the messages around it already name the file.
func rootCause(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}
