package message

import "errors"

// What a handler may do wrong with an answer, or find out when it writes one.
var (
	ErrAnswered   = errors.New("a final answer was given already")
	ErrUnanswered = errors.New("content comes after an answer's head")
	ErrStatus     = errors.New("not the status of such an answer")
	ErrTooMuch    = errors.New("more content than the answer's head announced")
	ErrTooLittle  = errors.New("less content than the answer's head announced")
	ErrGivenUp    = errors.New("the answer was given up")
	ErrNoSwitch   = errors.New("the client asked for no other protocol")
)

// Progress is how far an answer is. Streams ask it what may come next, whatever version they speak.
type Progress struct {
	Answered bool // the final head was given
	Ended    bool
	Aborted  bool
	Bodiless bool // the answer has no content, whatever its head announces

	length  int64
	written int64
}

// Interim says whether an interim head may be sent.
func (p *Progress) Interim(head *Head) error {
	switch {
	case p.Aborted:
		return ErrGivenUp
	case p.Answered:
		return ErrAnswered
	case head.Status < 100 || head.Status > 199 || head.Status == 101:
		return ErrStatus
	}
	return nil
}

// Answer notes the final head of an answer to a request of this method.
func (p *Progress) Answer(head *Head, method string) error {
	switch {
	case p.Aborted:
		return ErrGivenUp
	case p.Answered:
		return ErrAnswered
	case head.Status < 200:
		return ErrStatus
	}
	p.Answered, p.Bodiless, p.length = true, method == "HEAD" || Bodiless(head.Status), head.Length
	return nil
}

// Switch notes a switch of protocols.
func (p *Progress) Switch(head *Head, request *Head) error {
	switch {
	case p.Aborted:
		return ErrGivenUp
	case p.Answered:
		return ErrAnswered
	case head.Status != 101:
		return ErrStatus
	case request.Protocol == "":
		return ErrNoSwitch
	}
	p.Answered = true
	return nil
}

// Write notes content. ErrTooMuch means that the answer is to be aborted; content of an answer without any is to be left out.
func (p *Progress) Write(content []byte) error {
	switch {
	case p.Aborted:
		return ErrGivenUp
	case !p.Answered || p.Ended:
		return ErrUnanswered
	case p.Bodiless:
		return nil
	}
	p.written += int64(len(content))
	if p.length >= 0 && p.written > p.length {
		return ErrTooMuch
	}
	return nil
}

// End notes the end. ErrTooLittle means that the answer is to be aborted.
func (p *Progress) End() error {
	switch {
	case p.Aborted:
		return ErrGivenUp
	case !p.Answered || p.Ended:
		return ErrUnanswered
	case !p.Bodiless && p.length >= 0 && p.written < p.length:
		return ErrTooLittle
	}
	p.Ended = true
	return nil
}
