package http1

import (
	"bytes"
	"io"
	"net/http"
)

var (
	errBareCR     = malformed("a CR without LF")
	errBareLF     = malformed("a LF without CR")
	errControl    = malformed("a control character")
	errFold       = malformed("a folded line")
	errName       = malformed("a malformed field name")
	errSpaceName  = malformed("white space in a field name")
	errTargetSize = &Error{http.StatusRequestURITooLong, "the target is too long"}
	errHeadSize   = &Error{http.StatusRequestHeaderFieldsTooLarge, "the head is too large"}
	errFields     = &Error{http.StatusRequestHeaderFieldsTooLarge, "too many fields"}
)

var emptyLine = []byte("\r\n\r\n")

// awaitHead returns the length of the head that comes next, which is then buffered as a whole.
func (r *Reader) awaitHead(limits *Limits, request bool) (int, error) {
	for {
		if request && !r.skipped && bytes.HasPrefix(r.unread(), emptyLine[:2]) { // RFC 9112 section 2.2
			r.start, r.scanned, r.skipped = r.start+2, 0, true
		}
		known := r.scanned
		n, refusal := r.section(limits)
		if request && (refusal == errHeadSize || refusal == nil && n == 0) && overlong(r.unread(), known, limits.TargetBytes) {
			refusal = errTargetSize
		}
		if refusal != nil {
			return 0, refusal
		}
		if n > 0 {
			r.skipped = false
			return n, nil
		}
		if err := r.fill(limits.HeadBytes); err == io.EOF && r.start < r.end { //nolint:errorlint // a Read's io.EOF is never wrapped
			return 0, io.ErrUnexpectedEOF
		} else if err != nil {
			return 0, err
		}
	}
}

// overlong tells whether the target of the request that begins here is already too long, wherever it will end. For as many
// bytes as are known it was not.
func overlong(data []byte, known, bound int) bool {
	space := bytes.IndexByte(data[:min(len(data), bound)], ' ')
	if space < 0 || len(data)-space-1 <= bound || known-space-1 > bound {
		return false
	}
	return all(data[space+1:][:bound+1], inTarget)
}

// section is the length of the section that is buffered, or 0 when more of it has to come. A line break or a control
// character that cannot stand in it is refused at once, the rest by those who parse it.
func (r *Reader) section(limits *Limits) (int, *Error) {
	data := r.unread()
	n := 0
	if bytes.HasPrefix(data, emptyLine[:2]) {
		n = 2
	} else if from := max(r.scanned-3, 0); from < len(data) {
		if i := bytes.Index(data[from:], emptyLine); i >= 0 {
			n = from + i + len(emptyLine)
		}
	}
	if n > 0 && n <= limits.HeadBytes {
		r.scanned = 0
		return n, nil
	}
	if n > 0 || len(data) >= limits.HeadBytes {
		return 0, errHeadSize
	}
	if err := lines(data, r.scanned); err != nil {
		return 0, err
	}
	r.scanned = len(data)
	return 0, nil
}

// lines looks for what cannot stand in any section, from a place on up to which it was called before.
func lines(data []byte, from int) *Error {
	if from > 0 && data[from-1] == '\r' {
		from--
	}
	for {
		from += control(data[from:])
		if from == len(data) {
			return nil
		}
		switch data[from] {
		case '\t':
			from++
		case '\r':
			if from+1 == len(data) {
				return nil
			}
			if data[from+1] != '\n' {
				return errBareCR
			}
			from += 2
		default:
			return stray(data[from])
		}
	}
}

// stray is the refusal of a control character that stands where none may, or of a CR that no LF follows.
func stray(c byte) *Error {
	switch c {
	case '\r':
		return errBareCR
	case '\n':
		return errBareLF
	default:
		return errControl
	}
}

// field parses the field line (RFC 9112 section 5) at a place of a whole section, and gives the place of the next one.
func field(section []byte, at int) (name, value []byte, next int, refusal *Error) {
	start := at
	for classes[section[at]]&inToken != 0 {
		at++
	}
	if name = section[start:at]; len(name) == 0 || section[at] != ':' {
		return nil, nil, 0, misnamed(section, start, at)
	}
	at++
	for blank(section[at]) {
		at++
	}
	start = at
	for {
		at += control(section[at:])
		if section[at] != '\t' {
			break
		}
		at++
	}
	if section[at] != '\r' || section[at+1] != '\n' {
		return nil, nil, 0, stray(section[at])
	}
	end := at
	for end > start && blank(section[end-1]) {
		end--
	}
	return name, section[start:end:end], at + 2, nil
}

// misnamed says what is wrong with a field's name that is not followed by a colon, or empty.
func misnamed(section []byte, start, at int) *Error {
	switch c := section[at]; {
	case blank(c) && at == start:
		return errFold
	case blank(c):
		return errSpaceName
	case c == '\r' && section[at+1] == '\n':
		return errName
	case c < ' ' || c == 0x7f:
		return stray(c)
	default:
		return errName
	}
}
