//go:build containers

package containers

import (
	"bufio"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"
)

// mailServer takes mail in and remembers to whom. It can hold messages back, so that the jobs that send them stay under way.
type mailServer struct {
	listener net.Listener
	serving  sync.WaitGroup

	mu        sync.Mutex
	delivered map[string]int // messages, by recipient
	open      map[net.Conn]bool
	held      []*letter
	gate      chan struct{} // closed while nothing is held back
}

// letter is a message that is held back.
type letter struct {
	host, to string // who sent it, and to whom
	dropped  bool   // it is not taken in at all
}

// startMailServer listens on a free port of this address until the test ends.
func startMailServer(t *testing.T, address string) *mailServer {
	t.Helper()
	listener, err := net.Listen("tcp", address+":0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mailServer{listener: listener, delivered: map[string]int{}, open: map[net.Conn]bool{}, gate: make(chan struct{})}
	close(m.gate)
	m.serving.Go(m.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		m.mu.Lock()
		for conn := range m.open {
			_ = conn.Close()
		}
		m.mu.Unlock()
		m.release()
		m.serving.Wait()
	})
	return m
}

// hold lets messages wait from now on.
func (m *mailServer) hold() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gate = make(chan struct{})
	m.held = nil
}

// release takes in what waits.
func (m *mailServer) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.gate:
	default:
		close(m.gate)
	}
}

// from are the recipients of the messages that this host sent and that are held back.
func (m *mailServer) from(host string) (recipients []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, held := range m.held {
		if held.host == host {
			recipients = append(recipients, held.to)
		}
	}
	return recipients
}

// drop forgets the messages of this host that are held back, as if its connections had been cut a moment before.
func (m *mailServer) drop(host string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, held := range m.held {
		held.dropped = held.dropped || held.host == host
	}
}

// missing are the recipients that got no message.
func (m *mailServer) missing(recipients []string) (missing []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, recipient := range recipients {
		if m.delivered[recipient] == 0 {
			missing = append(missing, recipient)
		}
	}
	return missing
}

// count tells how many messages there were, and how many of these came again.
func (m *mailServer) count() (messages, again int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, times := range m.delivered {
		messages += times
		again += times - 1
	}
	return messages, again
}

func (m *mailServer) accept() {
	for {
		conn, err := m.listener.Accept()
		if err != nil {
			return
		}
		m.mu.Lock()
		m.open[conn] = true
		m.mu.Unlock()
		m.serving.Go(func() {
			m.converse(conn)
			_ = conn.Close()
			m.mu.Lock()
			delete(m.open, conn)
			m.mu.Unlock()
		})
	}
}

// converse speaks as much of SMTP as the worker's client does.
func (m *mailServer) converse(conn net.Conn) {
	lines := textproto.NewReader(bufio.NewReader(conn))
	say := func(text string) error {
		_, err := conn.Write([]byte(text + "\r\n"))
		return err
	}
	err := say("220 mail.test")
	for to := ""; err == nil; {
		var line string
		if line, err = lines.ReadLine(); err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.ToUpper(line), " ")
		switch verb {
		case "RCPT":
			to = strings.ToLower(strings.Trim(strings.TrimPrefix(rest, "TO:"), "<>"))
			err = say("250 ok")
		case "DATA":
			if err = say("354 go on"); err != nil {
				return
			}
			if _, err = lines.ReadDotLines(); err != nil || !m.deliver(conn, to) {
				return
			}
			err = say("250 ok")
		case "QUIT":
			_ = say("221 bye")
			return
		default:
			err = say("250 ok")
		}
	}
}

// deliver tells whether the message was taken in.
func (m *mailServer) deliver(conn net.Conn, to string) bool {
	host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
	message := &letter{host: host, to: to}
	m.mu.Lock()
	m.held = append(m.held, message)
	gate := m.gate
	m.mu.Unlock()
	<-gate
	m.mu.Lock()
	defer m.mu.Unlock()
	if !message.dropped {
		m.delivered[to]++
	}
	return !message.dropped
}
