package http2

import "sync"

// pieceSize is that of a frame as most send it.
const pieceSize = 16 << 10

type piece struct {
	bytes [pieceSize]byte
	n     int
	next  *piece
}

var pieces = sync.Pool{New: func() any { return new(piece) }}

// queue is content that came and was not used yet, in pieces of pooled memory.
type queue struct {
	first, last *piece
	start       int // of what was not taken yet of the first
	size        int // bytes in all
	taken       int // bytes of the first that the last take gave
}

func (q *queue) put(content []byte) {
	q.size += len(content)
	for len(content) > 0 {
		if q.last == nil || q.last.n == pieceSize {
			made := pieces.Get().(*piece)
			made.n, made.next = 0, nil
			if q.last == nil {
				q.first = made
			} else {
				q.last.next = made
			}
			q.last = made
		}
		n := copy(q.last.bytes[q.last.n:], content)
		q.last.n += n
		content = content[n:]
	}
}

// take gives the next content, which is valid until release, and stays the queue's until then.
func (q *queue) take() []byte {
	content := q.first.bytes[q.start:q.first.n]
	q.taken = len(content)
	return content
}

// release lets go of what take gave.
func (q *queue) release() {
	if q.taken == 0 {
		return
	}
	q.start += q.taken
	q.size -= q.taken
	q.taken = 0
	switch {
	case q.size == 0:
		q.drop()
	case q.start == q.first.n:
		done := q.first
		q.first, q.start = done.next, 0
		pieces.Put(done)
	}
}

// drop lets go of everything.
func (q *queue) drop() {
	for q.first != nil {
		next := q.first.next
		pieces.Put(q.first)
		q.first = next
	}
	*q = queue{}
}
