// Package dns writes the TXT records of ACME's dns-01 challenge (RFC 8555 section 8.4) into zones: by dynamic updates
// (RFC 2136), by Cloudflare's API or in Amazon Route 53. Each provider implements libdns's RecordAppender and RecordDeleter
// for TXT records, keeps other records of the same name, and is safe for concurrent use.
package dns

import (
	"fmt"
	"strings"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"
)

// leastTTL is what a record without a time to live gets: the challenge is over in a minute, and resolvers should forget it.
const leastTTL = time.Minute

// text is a TXT record by its whole name.
type text struct {
	name  string // with its zone and the final dot
	value string
	ttl   time.Duration
}

// texts reads the records that libdns hands over, which are relative to zone.
func texts(zone string, records []libdns.Record) ([]text, error) {
	read := make([]text, 0, len(records))
	for _, record := range records {
		rr := record.RR()
		if rr.Type != "TXT" {
			return nil, fmt.Errorf("a record of type %s: only TXT records are written here", rr.Type)
		}
		read = append(read, text{
			name:  dns.CanonicalName(libdns.AbsoluteName(rr.Name, dns.Fqdn(zone))),
			value: rr.Data,
			ttl:   max(rr.TTL, leastTTL),
		})
	}
	return read, nil
}

// escape puts a backslash before what means something in the text form of a record (RFC 1035 section 5.1).
var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// pieces splits a value into the strings of a TXT record, 255 bytes or fewer each (RFC 1035 section 3.3), and escapes them.
func pieces(value string) []string {
	const longest = 255
	var split []string
	for len(value) > longest {
		split = append(split, escape.Replace(value[:longest]))
		value = value[longest:]
	}
	return append(split, escape.Replace(value))
}

// quoted is a value as zone files write it, and APIs that follow them.
func quoted(value string) string { return `"` + strings.Join(pieces(value), `" "`) + `"` }
