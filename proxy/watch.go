package proxy

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/portico-web/portico/proxy/document"
)

const (
	// settle is how long the files must be quiet before they are read: editors and orchestrators write in several steps.
	settle = 100 * time.Millisecond
	// patience is how long unrest may put that off.
	patience = time.Second
)

// watch reloads when the configuration or a certificate file changes, until ctx ends or the returned function is called,
// which waits. Folders are watched, not files, so that a file replaced by renaming and the symbolic links of a Kubernetes
// volume are seen; what decides is whether the content changed.
func (p *Proxy) watch(ctx context.Context) (stop func()) {
	if p.options.ConfigPath == "" {
		return func() {}
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		p.log.Warn("files cannot be watched: send SIGHUP after changing the configuration", "error", err)
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	// Taken before the first request for the watch is answered, so that no change falls between.
	last := p.fingerprint()
	p.watchFolders(watcher)
	var watching sync.WaitGroup
	watching.Go(func() { p.watchLoop(ctx, watcher, last) })
	return func() {
		cancel()
		watching.Wait()
		_ = watcher.Close()
	}
}

func (p *Proxy) watchLoop(ctx context.Context, watcher *fsnotify.Watcher, last [sha256.Size]byte) {
	quiet := time.NewTimer(time.Hour)
	defer quiet.Stop()
	var since time.Time // the first event not yet seen to
	disturb := func() {
		now := time.Now()
		if since.IsZero() {
			since = now
		}
		quiet.Reset(min(settle, patience-now.Sub(since)))
	}
	matters := p.matters()
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-watcher.Events:
			if matters(event.Name) {
				disturb()
			}
		case err := <-watcher.Errors:
			// An overflow loses events, not the change: look.
			p.log.Debug("watching files", "error", err)
			disturb()
		case <-quiet.C:
			since = time.Time{}
			if now := p.fingerprint(); now != last {
				last = now
				_ = p.Reload(ctx) // it logs
			}
			p.watchFolders(watcher)
			matters = p.matters()
		}
	}
}

// matters makes a filter for events, so that a busy folder, such as a database's, is no reason to read files. Where a link
// is on the way to a file, anything in the folder may be a step of its change.
func (p *Proxy) matters() func(path string) bool {
	names := map[string]bool{}
	for _, file := range p.watchedFiles() {
		absolute, err := filepath.Abs(file)
		if err != nil {
			return func(string) bool { return true }
		}
		if real, err := filepath.EvalSymlinks(absolute); err == nil && real != absolute {
			return func(string) bool { return true }
		}
		names[absolute] = true
	}
	return func(path string) bool {
		absolute, err := filepath.Abs(path)
		return err != nil || names[absolute]
	}
}

// watchedFiles are the configuration and the files whose content it takes over.
func (p *Proxy) watchedFiles() []string {
	return append([]string{p.options.ConfigPath}, p.current.Load().config.Watched()...)
}

// watchFolders watches the folders of all files, and those that their links lead to; watching one again changes nothing.
func (p *Proxy) watchFolders(watcher *fsnotify.Watcher) {
	for _, file := range p.watchedFiles() {
		folders := []string{filepath.Dir(file)}
		if real, err := filepath.EvalSymlinks(file); err == nil {
			folders = append(folders, filepath.Dir(real))
		}
		for _, folder := range folders {
			if err := watcher.Add(folder); err != nil {
				p.log.Warn("folder cannot be watched: send SIGHUP after changing the configuration", "folder", folder, "error", err)
			}
		}
	}
}

// fingerprint changes when one of the files does. A file that is away for a moment counts as empty.
func (p *Proxy) fingerprint() [sha256.Size]byte {
	sum := sha256.New()
	for _, file := range p.watchedFiles() {
		content, _ := os.ReadFile(file)
		part := sha256.Sum256(content)
		sum.Write(part[:])
	}
	return [sha256.Size]byte(sum.Sum(nil))
}

// logRefused tells why a reload was refused, each fault of the file with its place.
func (p *Proxy) logRefused(err error) {
	if faults, ok := errors.AsType[document.Faults](err); ok {
		for _, fault := range faults {
			p.log.Error("configuration refused, the one before serves on",
				"file", fault.File, "line", fault.Line, "column", fault.Column, "fault", fault.Message)
		}
		return
	}
	p.log.Error("configuration refused, the one before serves on", "fault", err.Error())
}

// showLimiter lets /readyz show Redis, if limits are kept there.
func (p *Proxy) showLimiter(s *state) {
	if s.shared == nil {
		p.options.Checks.Remove("redis")
		return
	}
	p.options.Checks.Add("redis", s.shared.Check)
}
