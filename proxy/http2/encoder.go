package http2

import (
	"hash/maphash"
	"slices"
	"strconv"

	"golang.org/x/net/http2/hpack"

	"github.com/portico-web/portico/proxy/message"
)

// encoder writes field blocks (RFC 7541). Unlike hpack's it takes bytes, so that a field costs no memory unless it enters the
// table, which it does when it is seen for the second time: what differs from message to message stays out.
type encoder struct {
	bound   int     // bytes of the table, as this end allows
	most    int     // bytes of the table, as both ends allow
	size    int     // of the entries
	entries []entry // the newest last
	resized bool    // the next block tells of most
	emptied bool    // and that the table was emptied before
	shared  bool    // by clients who may not learn about each other
	seen    [seenSize]uint32
}

type entry struct {
	digest      uint32
	name, value string
}

const (
	tableSize = 4096 // bytes that a table has at the beginning (RFC 9113 section 6.5.2)
	entryCost = 32   // what RFC 7541 section 4.1 adds to an entry's text
	longest   = 1024 // bytes of a field that may enter the table
	seenSize  = 64
)

var seed = maphash.MakeSeed()

func newEncoder(bound int) encoder {
	e := encoder{most: tableSize, bound: bound}
	if bound < tableSize {
		e.resize(tableSize)
	}
	return e
}

// resize takes in how large a table the other end keeps. One that shrinks is emptied: some decoders refuse to have a table's
// size told twice while something is in it, as is due when it grows again.
func (e *encoder) resize(allowed uint32) {
	most := int(min(allowed, uint32(e.bound)))
	if most < e.most {
		e.emptied = true
		e.evict(0)
	}
	e.most, e.resized = most, true
}

// begin appends what comes before the first field of a block (RFC 7541 section 4.2).
func (e *encoder) begin(dst []byte) []byte {
	if e.resized {
		if e.emptied {
			dst = append(dst, 0x20)
		}
		dst = appendInt(dst, 0x20, 5, e.most)
		e.resized, e.emptied = false, false
	}
	return dst
}

func (e *encoder) evict(most int) {
	n := 0
	for ; e.size > most; n++ {
		e.size -= len(e.entries[n].name) + len(e.entries[n].value) + entryCost
	}
	if n > 0 {
		e.entries = slices.Delete(e.entries, 0, n)
	}
}

// appendField appends a field, its name in lower case.
func (e *encoder) appendField(dst []byte, field *message.Field) []byte {
	switch field.ID {
	case message.Cookie, message.SetCookie, message.Authorization, message.ProxyAuthorization:
		return appendLiteral(dst, 0x10, 4, staticNames[field.ID], field.Name, field.Value) // never indexed: it is secret
	case message.ContentLength:
		return appendLiteral(dst, 0, 4, staticNames[field.ID], field.Name, field.Value)
	}
	if len(field.Name)+len(field.Value) > longest {
		return appendLiteral(dst, 0, 4, staticNames[field.ID], field.Name, field.Value)
	}
	if e.shared && !common(field.ID) {
		return appendLiteral(dst, 0x10, 4, staticNames[field.ID], field.Name, field.Value)
	}
	digest := digestOf(field)
	for i := len(e.entries) - 1; i >= 0; i-- {
		if known := &e.entries[i]; known.digest == digest && string(field.Value) == known.value && message.EqualFold(field.Name, known.name) {
			return appendInt(dst, 0x80, 7, staticEntries+len(e.entries)-i)
		}
	}
	need := len(field.Name) + len(field.Value) + entryCost
	if e.seen[digest%seenSize] != digest || need > e.most {
		e.seen[digest%seenSize] = digest
		return appendLiteral(dst, 0, 4, staticNames[field.ID], field.Name, field.Value)
	}
	e.evict(e.most - need)
	name := make([]byte, len(field.Name))
	e.entries = append(e.entries, entry{digest, string(appendLower(name[:0], field.Name)), string(field.Value)})
	e.size += need
	return appendCompressed(dst, staticNames[field.ID], &e.entries[len(e.entries)-1])
}

// common tells whether a field is the same for many clients, and no secret of any. Whoever makes requests of his own, and sees
// how long they become, could find out what is in the table (RFC 7541 section 7.1): so nothing else of a client gets there when
// several share a connection.
func common(id message.Name) bool {
	switch id {
	case message.Accept, message.AcceptEncoding, message.AcceptLanguage, message.CacheControl, message.ContentType, message.UserAgent,
		message.Via, message.XForwardedHost, message.XForwardedPort, message.XForwardedPrefix, message.XForwardedProto:
		return true
	default:
		return false
	}
}

func digestOf(field *message.Field) uint32 {
	digest := maphash.Bytes(seed, field.Value)
	if field.ID != message.Other {
		return uint32(digest) ^ uint32(field.ID)<<24
	}
	return uint32(digest>>32) ^ uint32(len(field.Name))<<16 ^ uint32(field.Name[0]|0x20)
}

// appendPseudo appends a pseudo-field: one that is in the static table as a whole, or of which the name is.
func appendPseudo(dst []byte, whole, name int, value string) []byte {
	if whole != 0 {
		return append(dst, 0x80|byte(whole))
	}
	return append(appendInt(appendInt(dst, 0, 4, name), 0, 7, len(value)), value...)
}

// appendLiteral appends a field that stays out of the table.
func appendLiteral(dst []byte, kind byte, bits, index int, name, value []byte) []byte {
	dst = appendInt(dst, kind, bits, index)
	if index == 0 {
		dst = appendLower(appendInt(dst, 0, 7, len(name)), name)
	}
	return append(appendInt(dst, 0, 7, len(value)), value...)
}

// appendCompressed appends a field that enters the table: it is sent once, so that it may cost some time.
func appendCompressed(dst []byte, index int, made *entry) []byte {
	dst = appendInt(dst, 0x40, 6, index)
	if index == 0 {
		dst = appendHuffman(dst, made.name)
	}
	return appendHuffman(dst, made.value)
}

func appendHuffman(dst []byte, text string) []byte {
	if n := int(hpack.HuffmanEncodeLength(text)); n < len(text) {
		return hpack.AppendHuffmanString(appendInt(dst, 0x80, 7, n), text)
	}
	return append(appendInt(dst, 0, 7, len(text)), text...)
}

// appendInt appends an integer behind the first bits of a byte (RFC 7541 section 5.1).
func appendInt(dst []byte, kind byte, bits, n int) []byte {
	room := 1<<bits - 1
	if n < room {
		return append(dst, kind|byte(n))
	}
	dst = append(dst, kind|byte(room))
	for n -= room; n >= 0x80; n >>= 7 {
		dst = append(dst, 0x80|byte(n))
	}
	return append(dst, byte(n))
}

func appendLower(dst, name []byte) []byte {
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// The static table (RFC 7541 appendix A): where the names that the edge knows stand in it.
const staticEntries = 61

// Places in the static table.
const (
	indexAuthority = 1
	indexMethod    = 2 // GET
	indexPost      = 3
	indexPath      = 4 // /
	indexHTTP      = 6
	indexHTTPS     = 7
	indexStatus    = 8 // 200
)

var staticNames = func() (places [256]int) {
	table := hpack.NewDecoder(0, nil)
	for index := staticEntries; index > indexStatus+6; index-- { // the last one that is set is the first of a name
		fields, err := table.DecodeFull([]byte{0x80 | byte(index)})
		if err != nil {
			panic(err) // the table is a constant
		}
		if id := message.Known(fields[0].Name); id != message.Other {
			places[id] = index
		}
	}
	return places
}()

// staticStatus is where a status stands in the static table; 0 for elsewhere.
func staticStatus(status int) int {
	switch status {
	case 200:
		return indexStatus
	case 204:
		return indexStatus + 1
	case 206:
		return indexStatus + 2
	case 304:
		return indexStatus + 3
	case 400:
		return indexStatus + 4
	case 404:
		return indexStatus + 5
	case 500:
		return indexStatus + 6
	default:
		return 0
	}
}

// appendStatus appends :status.
func appendStatus(dst []byte, status int) []byte {
	if whole := staticStatus(status); whole != 0 {
		return append(dst, 0x80|byte(whole))
	}
	return append(dst, indexStatus, 3, '0'+byte(status/100%10), '0'+byte(status/10%10), '0'+byte(status%10))
}

// appendFields appends fields. What is about one connection only never gets here from a message that was read, but from who
// makes one it may: it is left out (RFC 9113 section 8.2.2).
func (e *encoder) appendFields(dst []byte, fields *message.Fields) []byte {
	all := fields.All()
	for i := range all {
		switch all[i].ID {
		case message.Connection, message.ContentLength, message.Expect, message.Host, message.HTTP2Settings, message.KeepAlive,
			message.ProxyConnection, message.TE, message.TransferEncoding, message.Upgrade:
		default:
			dst = e.appendField(dst, &all[i])
		}
	}
	return dst
}

// appendLength appends Content-Length.
func appendLength(dst []byte, length int64) []byte {
	var digits [20]byte
	return appendLiteral(dst, 0, 4, staticNames[message.ContentLength], nil, strconv.AppendInt(digits[:0], length, 10))
}
