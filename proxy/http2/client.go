package http2

import (
	"errors"
	"io"
	"time"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/socket"
)

// Client is what the connections to a server share. All members but Limits.TargetBytes must be set.
type Client struct {
	// Bounds hold for what the server sends. A ConnectionWindow of Streams times StreamWindow keeps a stream whose answer
	// nobody takes from holding up the others; it is also how much memory one connection can take.
	Bounds         Bounds
	Limits         http1.Limits  // of answers' heads and trailers
	IdleTimeout    time.Duration // without streams
	SilenceTimeout time.Duration // with streams: then the server is asked for a sign of life
	SignTimeout    time.Duration // for that sign, and for the rest of a frame or of a field block
	StallTimeout   time.Duration // for the server to take content
}

// ClientConn is one connection to a server, which many streams share. It is safe for concurrent use.
type ClientConn struct {
	conn
	ClientConnection
	common *Client

	// Of the goroutine that reads.
	scratch  message.Head    // what a field block is read into
	stirred  []*ClientStream // whose head came just now
	pressing time.Time       // since then the rest of a frame or of a field block is awaited; zero when none is

	// Under the lock.
	next      uint32          // id of the stream that is opened next
	places    int             // taken by streams, opened or not
	spare     []*ClientStream // to be used again
	since     time.Time       // places changed between 0 and 1
	quiet     time.Time       // since then nothing came
	asked     bool            // for a sign of life
	askedAt   time.Time
	retired   bool // takes no streams more, at this end's wish
	dismissed bool // the same at the server's
	ready     chan struct{}
	told      bool // ready is closed
}

// ClientConnection is what a ClientConn is told about its connection, which is its own.
type ClientConnection struct {
	Socket *socket.Conn
	Wire   io.ReadWriteCloser // TLS over the socket, or the socket
	// Ended is called once, when everything that the connection started has ended but the calling goroutine.
	Ended func(*ClientConn)
}

const (
	// signEvery is how often the server is asked for a sign of life while it says nothing of its own. Servers of gRPC count how
	// often they are asked without having sent anything, and close connections on which that is more than every five minutes.
	signEvery = 6 * time.Minute
	// lastWords is how long to wait until what is said last has left.
	lastWords = time.Second
)

// NewClientConn takes a connection on which nothing was said yet, and on which the server speaks HTTP/2. A goroutine reads it
// until it ends: for its age, or when Retire has been called and the last stream has gone.
func (cl *Client) NewClientConn(connection ClientConnection) *ClientConn {
	c := &ClientConn{common: cl, ClientConnection: connection, next: 1, ready: make(chan struct{})}
	c.conn.client = true
	c.conn.init(connection.Wire, c, &cl.Bounds, &cl.Limits)
	c.encoder.shared = true
	c.since = time.Now()
	c.mu.Lock()
	c.greet()
	c.mu.Unlock()
	go c.run()
	return c
}

func (c *ClientConn) greet() {
	c.out.hold(append(c.out.space(), Preface...))
	c.out.hold(appendSettings(c.out.space(),
		setting{settingEnablePush, 0},
		setting{settingHeaderTableSize, uint32(c.bounds.HeaderTable)},
		setting{settingMaxHeaderListSize, uint32(c.common.Limits.HeadBytes)}))
	if more := c.bounds.ConnectionWindow - initialWindow; more > 0 {
		c.out.hold(appendWindowUpdate(c.out.space(), 0, more))
	}
	c.flush()
}

// Ready is closed when the server has said how many streams it takes, or when the connection has ended before.
func (c *ClientConn) Ready() <-chan struct{} { return c.ready }

// Err is why the connection is over; nil while it is not.
func (c *ClientConn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Retire lets no streams be reserved any more. The connection ends with the last one.
func (c *ClientConn) Retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retired = true
	c.leaveIfIdle()
}

// leaveIfIdle has the reading goroutine end a connection that has no use any more.
func (c *ClientConn) leaveIfIdle() {
	if c.places == 0 && (c.retired || c.dismissed) {
		c.Socket.Interrupt()
	}
}

// Reserve sets a place for a stream aside; nil when the connection takes none now. The stream's Release frees it.
func (c *ClientConn) Reserve() *ClientStream {
	c.mu.Lock()
	defer c.mu.Unlock()
	most := min(c.bounds.Streams, int(c.peer.streams))
	if c.err != nil || c.retired || c.dismissed || c.asked || !c.peer.settled || c.places >= most || c.next > maxStream {
		return nil
	}
	if c.places++; c.places == 1 {
		c.since = time.Now()
	}
	if n := len(c.spare); n > 0 {
		st := c.spare[n-1]
		c.spare = c.spare[:n-1]
		return st
	}
	st := &ClientStream{client: c}
	st.stream.init(&c.conn)
	st.stream.call = st
	return st
}

// run reads until the connection ends, and waits until all that belongs to it has ended.
func (c *ClientConn) run() {
	err := c.serve()
	c.mu.Lock()
	if fault, told := errors.AsType[*ConnectionError](err); told && !fault.Remote {
		c.hangUp(fault, 0)
	} else {
		c.fail(err)
	}
	c.tell()
	c.mu.Unlock()
	late := time.AfterFunc(lastWords, func() { _ = c.Socket.Close() })
	c.goroutines.Wait()
	late.Stop()
	_ = c.Wire.Close()
	c.reader.drop()
	c.Ended(c)
}

func (c *ClientConn) tell() {
	if !c.told {
		c.told = true
		close(c.ready)
	}
}

func (c *ClientConn) serve() error {
	for {
		any, err := c.take()
		if any && !c.block.open {
			c.pressing = time.Time{}
		}
		if err != nil {
			return err
		}
		if err := c.await(); err != nil {
			return err
		}
	}
}

// await waits for more to come, and looks after the connection meanwhile.
func (c *ClientConn) await() error {
	now := time.Now()
	if c.pressing.IsZero() && (c.block.open || c.reader.within()) {
		c.pressing = now
	}
	c.mu.Lock()
	c.quiet, c.asked = now, false
	if c.peer.settled {
		c.tell()
	}
	for i, st := range c.stirred {
		st.readable.wake()
		c.stirred[i] = nil
	}
	c.stirred = c.stirred[:0]
	c.mu.Unlock()
	return c.reader.wait(c.Socket, now, c.patience)
}

// patience is for how long to wait before the connection is looked after again; an error ends it.
func (c *ClientConn) patience(now time.Time) (time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	patience, err := c.stay(now)
	if err != nil {
		return 0, err
	}
	if quiet := now.Sub(c.quiet); quiet < restAfter {
		patience = min(patience, restAfter-quiet)
	} else {
		c.rest()
	}
	if !c.pressing.IsZero() {
		left := c.common.SignTimeout - now.Sub(c.pressing)
		if left <= 0 {
			return 0, errSlow
		}
		patience = min(patience, left)
	}
	return min(patience, c.common.SilenceTimeout/2), nil // since streams may have begun just after
}

// stay is for how long the connection may go on like this.
func (c *ClientConn) stay(now time.Time) (left time.Duration, err error) {
	if c.places > 0 {
		return c.listen(now)
	}
	if left = c.common.IdleTimeout - now.Sub(c.since); c.retired || c.dismissed || left <= 0 {
		c.retired = true
		c.out.hold(appendGoAway(c.out.space(), 0, NoError))
		c.flush()
		return 0, errDeparted
	}
	return left, nil
}

// listen asks for a sign of life when streams wait and nothing comes, once in each silence, and again only after long. Until
// there is one the connection takes no more streams, so that those which come next are not lost with it.
func (c *ClientConn) listen(now time.Time) (left time.Duration, err error) {
	if c.asked {
		if left = c.common.SignTimeout - now.Sub(c.askedAt); left <= 0 {
			return 0, errServerSilent
		}
		return left, nil
	}
	due := c.quiet
	if c.since.After(due) {
		due = c.since
	}
	due = due.Add(c.common.SilenceTimeout)
	if again := c.askedAt.Add(signEvery); !c.spoke && !c.askedAt.IsZero() && again.After(due) {
		due = again
	}
	if left = due.Sub(now); left > 0 {
		return left, nil
	}
	if len(c.streams) == 0 {
		return time.Second, nil
	}
	c.asked, c.askedAt, c.spoke = true, now, false
	c.out.hold(appendPing(c.out.space(), 0, pingAlive))
	c.flush()
	return c.common.SignTimeout, nil
}

var errServerSilent = errors.New("the server gives no sign of life")

// rest gives back what only traffic needs.
func (c *ClientConn) rest() {
	c.reader.rest()
	if c.places > 0 {
		return
	}
	c.spare, c.stirred, c.fields, c.block.bytes, c.waiting = nil, nil, nil, nil, nil
	c.list.forget()
	c.scratch = message.Head{}
	if c.out.running {
		c.out.retired = true
		c.out.more.Signal()
	}
}
