package message

import "bytes"

// Lists tells whether a field whose values are lists (RFC 9110 section 5.6.1), such as Vary, has a member, in any case.
func (f *Fields) Lists(id Name, member string) bool {
	for i := range f.list {
		if f.list[i].ID != id {
			continue
		}
		for found := range bytes.SplitSeq(f.list[i].Value, []byte(",")) {
			if EqualFold(bytes.TrimSpace(found), member) {
				return true
			}
		}
	}
	return false
}

// Cookie is the value of the first cookie of this name, whose case matters, or nil (RFC 6265 section 4.2). HTTP/2 may bring
// each cookie in a field of its own (RFC 9113 section 8.2.3).
func (f *Fields) Cookie(name string) []byte {
	for i := range f.list {
		if f.list[i].ID != Cookie {
			continue
		}
		for pair := range bytes.SplitSeq(f.list[i].Value, []byte(";")) {
			found, value, ok := bytes.Cut(bytes.TrimSpace(pair), []byte("="))
			if ok && string(found) == name {
				return value
			}
		}
	}
	return nil
}
