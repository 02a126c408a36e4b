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

// idle measures what a connection costs that waits. Each proxy is new, so that nothing else has grown it.
func (b *bench) idle(ctx context.Context) error {
	files, err := fileLimit()
	if err != nil {
		return err
	}
	for _, p := range b.proxies {
		if needed := b.Connections*max(1, p.filesEach) + 500; files < needed {
			fmt.Fprintf(os.Stderr, "%s is left out of mode idle: %d connections take %d open files, the limit is %d (ulimit -Hn, --connections)\n",
				p.name, b.Connections, needed, files)
			continue
		}
		got, err := b.idleOne(ctx, p)
		if err != nil {
			return fmt.Errorf("%s in mode idle: %w", p.name, err)
		}
		b.report.idle(p, got)
	}
	return nil
}

// growth is how the memory of a proxy grew over idle connections.
type growth struct {
	connections   int
	open          int // still, at the end
	before, after int64
}

func (b *bench) idleOne(ctx context.Context, p *proxy) (growth, error) {
	server, err := p.start(ctx, b.site, false)
	if err != nil {
		return growth{}, err
	}
	defer server.stop()
	self, err := os.Executable()
	if err != nil {
		return growth{}, err
	}
	before, err := server.usage()
	if err != nil {
		return growth{}, err
	}
	address := strings.TrimSuffix(strings.TrimPrefix(server.url, "https://"), "/")
	command := exec.CommandContext(ctx, self, "hold", "--address", address, "--roots", b.cert, "--connections", strconv.Itoa(b.Connections))
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		return growth{}, err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return growth{}, err
	}
	if err := command.Start(); err != nil {
		return growth{}, err
	}
	defer func() {
		_ = input.Close()
		_ = command.Wait()
	}()
	lines := bufio.NewScanner(output)
	if !lines.Scan() { // it says so once all are open
		return growth{}, errors.New("not all connections could be opened")
	}
	select {
	case <-time.After(b.Idle):
	case <-ctx.Done():
		return growth{}, ctx.Err()
	}
	after, err := server.usage()
	if err != nil {
		return growth{}, err
	}
	_ = input.Close()
	if !lines.Scan() {
		return growth{}, errors.New("the client ended early")
	}
	open, err := strconv.Atoi(lines.Text())
	return growth{connections: b.Connections, open: open, before: before.resident, after: after.resident}, err
}

// holdCommand opens connections, has one request answered on each, says so, and holds them until its input ends. Then it says
// how many were still open.
type holdCommand struct {
	Address     string `required:""`
	Roots       string `required:""`
	Connections int    `required:""`
}

const (
	openers  = 32               // connections that are opened at once
	patience = 20 * time.Second // for each
)

// Run holds.
func (c holdCommand) Run(ctx context.Context) error {
	pem, err := os.ReadFile(c.Roots)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config := &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"http/1.1"}}
	connections := make([]*tls.Conn, c.Connections)
	failures := make(chan error, openers)
	var next atomic.Int64
	var opening sync.WaitGroup
	for range openers {
		opening.Go(func() {
			for i := next.Add(1) - 1; int(i) < c.Connections; i = next.Add(1) - 1 {
				if connections[i], err = open(c.Address, config); err != nil {
					failures <- fmt.Errorf("connection %d: %w", i+1, err)
					return
				}
			}
		})
	}
	opening.Wait()
	if len(failures) > 0 {
		return <-failures
	}
	fmt.Println("open")
	defer context.AfterFunc(ctx, func() { _ = os.Stdin.Close() })()
	_, _ = io.Copy(io.Discard, os.Stdin)
	fmt.Println(stillOpen(connections))
	return nil
}

// open makes a connection and has one request answered on it.
func open(address string, config *tls.Config) (*tls.Conn, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", address, config)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	if err := ask(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, conn.SetDeadline(time.Time{})
}

// ask has one request answered, whose answer tells its length.
func ask(conn io.ReadWriter) error {
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return err
	}
	reader := bufio.NewReader(conn)
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

// stillOpen counts the connections on which nothing came, the end least of all.
func stillOpen(connections []*tls.Conn) int {
	count := 0
	for _, conn := range connections {
		socket, ok := conn.NetConn().(syscall.Conn)
		if !ok {
			continue
		}
		raw, err := socket.SyscallConn()
		if err != nil {
			continue
		}
		_ = raw.Read(func(fd uintptr) bool {
			var one [1]byte
			_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
			if errors.Is(err, syscall.EAGAIN) {
				count++
			}
			return true
		})
	}
	return count
}

func fileLimit() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read the limit of open files: %w", err)
	}
	return int(min(limit.Cur, 1<<20)), nil
}
