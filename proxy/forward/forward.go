// Package forward carries one exchange between a client and a target: heads, content, trailers, upgrades and streams.
package forward

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/upstream"
)

// tick is how often whoever waits for a target asks whether the client is still there.
const tick = 500 * time.Millisecond

// Forwarder forwards to the targets of one pool. It is safe for concurrent use.
type Forwarder struct {
	pool      *upstream.Pool
	streams   *Streams
	log       *slog.Logger
	exchanges sync.Pool // of *exchange

	retired      atomic.Bool
	moved        atomic.Int64 // exchanges that left a target for another
	streamsEnded bool         // guarded by the lock of streams
}

// ErrRetired says that the forwarder takes no more exchanges: nothing was sent, and another forwarder may be
// asked.
var ErrRetired = errors.New("the targets were replaced")

// New makes a forwarder that owns pool. streams takes the exchanges that may last for ever.
func New(pool *upstream.Pool, streams *Streams, log *slog.Logger) *Forwarder {
	return &Forwarder{pool: pool, streams: streams, log: log}
}

// Pool is the pool that the forwarder owns.
func (f *Forwarder) Pool() *upstream.Pool { return f.pool }

// Close closes the pool. Exchanges in flight go on; so do some that begin just afterwards, and they leave no connection
// behind.
func (f *Forwarder) Close() { f.pool.Close() }

// Retire lets no more exchanges begin: they fail with ErrRetired. Once it has returned, Active counts all that did begin, so
// that at 0 the targets may go.
func (f *Forwarder) Retire() { f.retired.Store(true) }

// Active is how many exchanges are under way, and how many of them are event streams and tunnels.
func (f *Forwarder) Active() (exchanges, streams int) {
	streams = f.streams.countOf(f)
	active := int(f.pool.Active()) // before moved: who left a target has been added there
	return max(active, int(f.moved.Load()), streams), streams
}

// EndStreams ends event streams and tunnels, those to come too.
func (f *Forwarder) EndStreams() { f.streams.endOf(f) }

// Forward answers a request with what a target answers. The stream's head was sanitised before, and is edited; body is the
// stream's, or something before it, and out likewise. When Forward returns, nothing of the exchange is still under way.
//
// Without an error, a whole answer was given, or a tunnel ended. A *Failure says that nothing final was answered, and
// ErrRetired that nothing was sent; an error that wraps ErrAborted says that an answer began.
func (f *Forwarder) Forward(stream message.Stream, body message.Body, out message.Responder, sent *Exchange) error {
	x, _ := f.exchanges.Get().(*exchange)
	if x == nil {
		x = &exchange{}
	}
	x.forwarder, x.stream, x.body, x.out, x.head = f, stream, body, out, stream.Head()
	defer x.end()
	x.assert(sent)
	err := x.pick()
	if f.retired.Load() { // asked once the exchange counts: either it is refused, or it is waited for
		return ErrRetired
	}
	if err != nil {
		return err
	}
	if x.head.Protocol != "" {
		x.askToSwitch()
	}
	for {
		err := x.attempt()
		if err == nil {
			return nil
		}
		x.note(err)
		if !x.again(err) {
			return x.explain(err)
		}
	}
}

// exchange is one request on its way to a target, and the answer on its way back. It is used by the goroutine that serves
// the client; between exchanges it keeps its buffers.
type exchange struct {
	forwarder *Forwarder
	stream    message.Stream
	body      message.Body
	out       message.Responder
	head      *message.Head
	sent      *Exchange

	asks     upstream.Request // what decides who is asked
	secure   bool             // the client came by TLS
	target   *upstream.Target
	tried    []*upstream.Target // they are not asked again
	refusal  error              // what the last of them did instead
	refuser  *upstream.Target   // the last that took no connection
	refusals int                // how many did not, of which the log does not tell yet
	tries    int
	moved    bool      // it left a target for another, so that no target may count it for a moment
	failing  time.Time // when the first attempt failed
	fresh    bool      // an idle connection broke: another may be as old

	request []byte // as it is sent in HTTP/1.1: the head, and content that came with it
	along   int    // where that content begins
	whole   bool   // request has all the content
	accept  string // what Sec-WebSocket-Accept must be; "" when the client looks after that

	call     call    // nil when nothing is under way
	upload   *upload // the call's; nil when nothing is to be sent after request
	sentAt   time.Time
	uploaded time.Time // the upload was found to be over
	failedAt time.Time // the target took no more of the request; an answer may still be there
	tickedAt time.Time
	answer   message.Head
	call1    call1
	call2    call2

	heldUntil time.Time // when content that is held back leaves, whatever follows; zero when nothing waits for that
}

// attempt asks one target once.
func (x *exchange) attempt() error {
	if err := x.pick(); err != nil {
		return err
	}
	if err := x.compose(); err != nil {
		return err
	}
	if err := x.send(); err != nil {
		return err
	}
	x.tellRefusals() // what follows may last
	if err := x.awaitAnswer(); err != nil {
		return err
	}
	x.forwarder.pool.NoteAnswer(&x.asks, x.target, x.answer.Status)
	if x.elsewhere() {
		return errElsewhere
	}
	x.forwarder.pool.Conclude(&x.asks)
	if x.answer.Status == statusSwitching {
		return x.switchProtocols()
	}
	return x.relay()
}

// pick chooses a target, unless the one of the attempt before is to be asked again.
func (x *exchange) pick() error {
	if x.target != nil {
		return nil
	}
	target, err := x.forwarder.pool.Pick(&x.asks, x.tried)
	if errors.Is(err, upstream.ErrBusy) {
		target, err = x.queue()
	}
	_, final := errors.AsType[*Failure](err)
	switch {
	case err == nil:
		x.target, x.sent.Target = target, target.Endpoint()
		return nil
	case final:
		return err
	case x.refusal != nil:
		return &Failure{Unreachable, x.refusal}
	default:
		return &Failure{NoTarget, err}
	}
}

// send sends the request, by the version of HTTP that the target speaks. Only a connection of HTTP/1.1 can switch to another
// protocol.
func (x *exchange) send() error {
	if x.target.HTTP2() && x.head.Protocol == "" {
		return x.callHTTP2()
	}
	return x.callHTTP1()
}

// gone tells whether nobody waits for the answer any more.
func (x *exchange) gone() bool { return x.stream.Gone() || x.stream.Context().Err() != nil }

// release lets go of the target.
func (x *exchange) release() {
	if x.target != nil {
		x.forwarder.pool.Release(x.target)
		x.target = nil
	}
}

// explain makes of an error what Forward says it returns.
func (x *exchange) explain(err error) error {
	if _, explained := errors.AsType[*Failure](err); explained || errors.Is(err, ErrAborted) {
		return err
	}
	if x.gone() {
		return &Failure{ClientGone, err}
	}
	return &Failure{Unreachable, err}
}

// hangUp ends what is under way with a target.
func (x *exchange) hangUp() {
	if x.call != nil {
		x.call.hangUp()
	}
	x.call, x.upload = nil, nil
	x.uploaded, x.failedAt = time.Time{}, time.Time{}
}

// end leaves nothing of the exchange behind, and makes it ready for another.
func (x *exchange) end() {
	x.tellRefusals()
	x.hangUp()
	x.release()
	x.forwarder.pool.Forget(&x.asks)
	x.answer.Reset()
	x.call1.reset()
	clear(x.tried)
	if cap(x.request) > keptBytes {
		x.request = nil
	}
	forwarder := x.forwarder
	if x.moved {
		forwarder.moved.Add(-1)
	}
	*x = exchange{request: x.request[:0], tried: x.tried[:0], answer: x.answer, call1: x.call1}
	forwarder.exchanges.Put(x)
}

// keptBytes is the most that an exchange keeps of its buffer for the next.
const keptBytes = 64 << 10
