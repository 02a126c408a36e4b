package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// idle measures what a connection costs that waits.
func idle(protocol string) func(context.Context, attempt) (figure, error) {
	return func(ctx context.Context, a attempt) (figure, error) {
		files, err := fileLimit()
		if err != nil {
			return nil, err
		}
		if needed := a.Connections*max(1, a.proxy.filesEach) + 500; files < needed {
			return nil, fmt.Errorf("%w: %d connections take %d open files, the limit is %d (ulimit -Hn, --connections)", errLeftOut, a.Connections, needed, files)
		}
		before, err := a.server.usage()
		if err != nil {
			return nil, err
		}
		var after usage
		answered, err := a.hold(ctx, protocol, func() error {
			select {
			case <-time.After(a.Idle):
			case <-ctx.Done():
				return ctx.Err()
			}
			after, err = a.server.usage()
			return err
		})
		return figure{
			{eachIdle, float64(after.resident-before.resident) / float64(a.Connections) / 1024},
			megabytes(fromSize, before.resident), megabytes(toSize, after.resident),
			{stillOpen, float64(answered)},
		}, err
	}
}

// hold has another process hold the connections during meanwhile, and returns how many still answered after it.
func (a attempt) hold(ctx context.Context, protocol string, meanwhile func() error) (answered int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	command := exec.CommandContext(ctx, self, "hold", "--url", a.server.url, "--roots", a.cert, "--protocol", protocol, "--connections", strconv.Itoa(a.Connections))
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		return 0, err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := command.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = input.Close()
		_ = command.Wait()
	}()
	lines := bufio.NewScanner(output)
	if !lines.Scan() { // it says so once all are open
		return 0, errors.New("not all connections could be opened")
	}
	if err := meanwhile(); err != nil {
		return 0, err
	}
	_ = input.Close()
	if !lines.Scan() {
		return 0, errors.New("the client ended early")
	}
	return strconv.Atoi(lines.Text())
}

// holdCommand opens connections, has one request answered on each, says so, and holds them until its input ends. Then it asks
// once more on each, and says how many answered.
type holdCommand struct {
	URL         string `required:"" name:"url"`
	Roots       string `required:""`
	Protocol    string `required:"" enum:"http/1.1,h2"`
	Connections int    `required:""`
}

// held is a connection that waits.
type held interface{ ask() error }

// Run holds.
func (c holdCommand) Run(ctx context.Context) error {
	roots, err := readRoots(c.Roots)
	if err != nil {
		return err
	}
	connections := make([]held, c.Connections)
	err = each(len(connections), func(i int) (err error) {
		if connections[i], err = c.open(ctx, roots); err == nil {
			err = connections[i].ask()
		}
		return err
	})
	if err != nil {
		return err
	}
	fmt.Println("open")
	defer context.AfterFunc(ctx, func() { _ = os.Stdin.Close() })()
	_, _ = io.Copy(io.Discard, os.Stdin)
	var answered atomic.Int64
	err = each(len(connections), func(i int) error {
		if connections[i].ask() == nil {
			answered.Add(1)
		}
		return nil
	})
	fmt.Println(answered.Load())
	return err
}

func (c holdCommand) open(ctx context.Context, roots *x509.CertPool) (held, error) {
	if c.Protocol == "h2" {
		conn, err := dialH2(ctx, c.URL, roots, h2settings{window: maxWindow, buffer: 512})
		if err != nil {
			return nil, err
		}
		go conn.read()
		return heldH2{conn}, nil
	}
	address := strings.TrimSuffix(strings.TrimPrefix(c.URL, "https://"), "/")
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", address, &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"http/1.1"}})
	return heldH1{conn}, err
}

// openers is how many connections are opened at once.
const openers = 32

// each does something for all numbers below n, several at once, until one fails.
func each(n int, do func(i int) error) error {
	failures := make([]error, openers)
	var next atomic.Int64
	var working sync.WaitGroup
	for worker := range openers {
		working.Go(func() {
			for i := next.Add(1) - 1; int(i) < n && failures[worker] == nil; i = next.Add(1) - 1 {
				failures[worker] = do(int(i))
			}
		})
	}
	working.Wait()
	return errors.Join(failures...)
}

type heldH2 struct{ conn *h2conn }

func (h heldH2) ask() error {
	defer time.AfterFunc(patience, h.conn.close).Stop()
	_, err := h.conn.get("/")
	return err
}

type heldH1 struct{ conn *tls.Conn }

// ask has one request answered, whose answer tells its length.
func (h heldH1) ask() error {
	_ = h.conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(h.conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return err
	}
	reader := bufio.NewReader(h.conn)
	length, status := -1, ""
	for line := "x"; line != ""; {
		text, err := reader.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimSpace(text)
		if status == "" {
			status = line
		}
		if value, found := strings.CutPrefix(strings.ToLower(line), "content-length:"); found {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return err
			}
		}
	}
	if !strings.HasPrefix(status, "HTTP/1.1 200") || length < 0 {
		return fmt.Errorf("answered %q, without a length or not 200", status)
	}
	_, err := io.CopyN(io.Discard, reader, int64(length))
	return err
}

func readRoots(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return roots, nil
}

func fileLimit() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read the limit of open files: %w", err)
	}
	return int(min(limit.Cur, 1<<20)), nil
}
