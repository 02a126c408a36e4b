package dns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"
)

const (
	// updateTimeout bounds one update, the connection included.
	updateTimeout = 10 * time.Second
	// signatureLife is how far the clocks of both sides may differ, in seconds (RFC 8945 section 10).
	signatureLife = 300
)

// Key signs updates (TSIG, RFC 8945).
type Key struct {
	Name      string // with the final dot
	Algorithm string // as in hmac-sha256., with the final dot
	Secret    string // base64
}

// algorithms are those that RFC 8945 section 6 does not advise against.
var algorithms = []string{dns.HmacSHA256, dns.HmacSHA384, dns.HmacSHA512, dns.HmacSHA224}

var (
	keyClause       = regexp.MustCompile(`(?s)^\s*key\s+"?([^"\s{]+)"?\s*\{(.*)\}\s*;?\s*$`)
	algorithmClause = regexp.MustCompile(`\balgorithm\s+"?([A-Za-z0-9-]+)"?\s*;`)
	secretClause    = regexp.MustCompile(`\bsecret\s+"?([A-Za-z0-9+/=]+)"?\s*;`)
	comment         = regexp.MustCompile(`(?m)(//|#).*$`)
)

// ParseKey reads a key as tsig-keygen writes it: key "NAME" { algorithm hmac-sha256; secret "BASE64"; };
func ParseKey(content string) (Key, error) {
	clause := keyClause.FindStringSubmatch(comment.ReplaceAllString(content, ""))
	if clause == nil {
		return Key{}, errors.New(`no key of the form key "NAME" { algorithm hmac-sha256; secret "BASE64"; }; (tsig-keygen NAME makes one)`)
	}
	key := Key{Name: dns.CanonicalName(clause[1])}
	secret := secretClause.FindStringSubmatch(clause[2])
	if secret == nil {
		return Key{}, errors.New("the key has no secret")
	}
	key.Secret = secret[1]
	algorithm := algorithmClause.FindStringSubmatch(clause[2])
	if algorithm == nil {
		return Key{}, errors.New("the key has no algorithm")
	}
	for _, known := range algorithms {
		if strings.EqualFold(known, dns.Fqdn(algorithm[1])) {
			key.Algorithm = known
			return key, nil
		}
	}
	return Key{}, fmt.Errorf("the key's algorithm %s is not one of hmac-sha224, hmac-sha256, hmac-sha384 and hmac-sha512", algorithm[1])
}

// RFC2136 changes zones by signed dynamic updates over TCP.
type RFC2136 struct{ server, keyFile string }

// NewRFC2136 makes a provider that sends its updates to server, HOST:PORT of the zone's primary. The key in keyFile, as
// ParseKey reads it, is read for each update, so that it may be replaced meanwhile.
func NewRFC2136(server, keyFile string) *RFC2136 { return &RFC2136{server: server, keyFile: keyFile} }

func (p *RFC2136) key() (Key, error) {
	content, err := os.ReadFile(p.keyFile)
	if err != nil {
		return Key{}, err
	}
	key, err := ParseKey(string(content))
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w", p.keyFile, err)
	}
	return key, nil
}

// AppendRecords implements libdns.RecordAppender.
func (p *RFC2136) AppendRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return p.update(ctx, zone, records, (*dns.Msg).Insert)
}

// DeleteRecords implements libdns.RecordDeleter.
func (p *RFC2136) DeleteRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return p.update(ctx, zone, records, (*dns.Msg).Remove)
}

func (p *RFC2136) update(ctx context.Context, zone string, records []libdns.Record, change func(*dns.Msg, []dns.RR)) ([]libdns.Record, error) {
	wanted, err := texts(zone, records)
	if err != nil {
		return nil, err
	}
	key, err := p.key()
	if err != nil {
		return nil, err
	}
	message := new(dns.Msg).SetUpdate(dns.Fqdn(zone))
	for _, record := range wanted {
		change(message, []dns.RR{&dns.TXT{
			Hdr: dns.RR_Header{Name: record.name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: uint32(record.ttl / time.Second)},
			Txt: pieces(record.value),
		}})
	}
	message.SetTsig(key.Name, key.Algorithm, signatureLife, time.Now().Unix())
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	client := &dns.Client{Net: "tcp", Timeout: updateTimeout, TsigSecret: map[string]string{key.Name: key.Secret}}
	answer, _, err := client.ExchangeContext(ctx, message, p.server)
	if answer != nil && answer.Rcode != dns.RcodeSuccess { // an error of its signature comes beside it, and says less
		return nil, fmt.Errorf("the name server %s refuses to change %s (%s): let the key %s update TXT records there", p.server, zone, dns.RcodeToString[answer.Rcode], key.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("the name server %s for changes of %s: %w", p.server, zone, err)
	}
	return records, nil
}
