package dns_test

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/portico-web/portico/proxy/certs/dns"
)

// route53 speaks the part of Route 53's API (2013-04-01) that is about sets of TXT records.
type route53 struct {
	mu      sync.Mutex
	sets    map[string]recordSet
	between func() // called once, before the first change
	busy    int    // calls that are put off
}

type recordSet struct {
	Name    string   `xml:"Name"`
	Type    string   `xml:"Type"`
	TTL     int      `xml:"TTL"`
	Records []string `xml:"ResourceRecords>ResourceRecord>Value"`
}

type changeRequest struct {
	XMLName xml.Name `xml:"https://route53.amazonaws.com/doc/2013-04-01/ ChangeResourceRecordSetsRequest"`
	Changes []struct {
		Action string
		Set    recordSet `xml:"ResourceRecordSet"`
	} `xml:"ChangeBatch>Changes>Change"`
}

const zonePath = "/2013-04-01/hostedzone/Z123/rrset"

func (f *route53) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") {
		fail(w, http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid.")
		return
	}
	f.mu.Lock()
	busy := f.busy > 0
	f.busy--
	f.mu.Unlock()
	if busy {
		fail(w, http.StatusBadRequest, "Throttling", "Rate exceeded")
		return
	}
	switch path := strings.TrimSuffix(r.URL.Path, "/"); {
	case r.Method == http.MethodGet && path == "/2013-04-01/hostedzonesbyname":
		// The list begins with the name that was asked for and goes on with others.
		fmt.Fprintf(w, `<?xml version="1.0"?><ListHostedZonesByNameResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><HostedZones>`+
			`<HostedZone><Id>/hostedzone/ZPRIVATE</Id><Name>zone.example.</Name><CallerReference>p</CallerReference><Config><PrivateZone>true</PrivateZone></Config></HostedZone>`+
			`<HostedZone><Id>/hostedzone/Z123</Id><Name>zone.example.</Name><CallerReference>r</CallerReference><Config><PrivateZone>false</PrivateZone></Config></HostedZone>`+
			`</HostedZones><DNSName>%s</DNSName><IsTruncated>false</IsTruncated><MaxItems>100</MaxItems></ListHostedZonesByNameResponse>`, r.URL.Query().Get("dnsname"))
	case r.Method == http.MethodGet && path == zonePath:
		f.list(w, r.URL.Query().Get("name"))
	case r.Method == http.MethodPost && path == zonePath:
		f.mu.Lock()
		between := f.between
		f.between = nil
		f.mu.Unlock()
		if between != nil {
			between()
		}
		f.change(w, r)
	default:
		fail(w, http.StatusNotFound, "NoSuchHostedZone", "No hosted zone found at "+r.URL.Path)
	}
}

func (f *route53) list(w io.Writer, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fmt.Fprint(w, `<?xml version="1.0"?><ListResourceRecordSetsResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ResourceRecordSets>`)
	set, ok := f.sets[name]
	if !ok { // the next one by order, as the real one does
		set = recordSet{Name: "_acme-challenge.zzz.zone.example.", Type: "TXT", TTL: 60, Records: []string{`"other"`}}
	}
	fmt.Fprintf(w, `<ResourceRecordSet><Name>%s</Name><Type>%s</Type><TTL>%d</TTL><ResourceRecords>`, set.Name, set.Type, set.TTL)
	for _, value := range set.Records {
		fmt.Fprint(w, `<ResourceRecord><Value>`)
		_ = xml.EscapeText(w, []byte(value))
		fmt.Fprint(w, `</Value></ResourceRecord>`)
	}
	fmt.Fprint(w, `</ResourceRecords></ResourceRecordSet></ResourceRecordSets><IsTruncated>false</IsTruncated><MaxItems>1</MaxItems></ListResourceRecordSetsResponse>`)
}

// change applies a batch as a whole or not at all.
func (f *route53) change(w http.ResponseWriter, r *http.Request) {
	var request changeRequest
	if err := xml.NewDecoder(r.Body).Decode(&request); err != nil {
		fail(w, http.StatusBadRequest, "InvalidInput", err.Error())
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	next := map[string]recordSet{}
	for name, set := range f.sets {
		next[name] = set
	}
	for _, change := range request.Changes {
		current, exists := next[change.Set.Name]
		switch {
		case change.Action == "DELETE" && exists && slices.Equal(current.Records, change.Set.Records) && current.TTL == change.Set.TTL:
			delete(next, change.Set.Name)
		case change.Action == "CREATE" && !exists && len(change.Set.Records) > 0 && change.Set.Type == "TXT":
			next[change.Set.Name] = change.Set
		default:
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `<?xml version="1.0"?><InvalidChangeBatch xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Messages><Message>Tried to %s resource record set [name='%s'] but it was found otherwise</Message></Messages><RequestId>1</RequestId></InvalidChangeBatch>`, change.Action, change.Set.Name)
			return
		}
	}
	f.sets = next
	fmt.Fprint(w, `<?xml version="1.0"?><ChangeResourceRecordSetsResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ChangeInfo><Id>/change/C1</Id><Status>PENDING</Status><SubmittedAt>2026-01-01T00:00:00Z</SubmittedAt></ChangeInfo></ChangeResourceRecordSetsResponse>`)
}

func fail(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0"?><ErrorResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>1</RequestId></ErrorResponse>`, code, message)
}

func (f *route53) values(name string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(slices.Values(f.sets[name].Records))
}

func newRoute53(t *testing.T, fake *route53, keyID string) *dns.Route53 {
	t.Helper()
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	file := secretFile(t, "[default]\naws_access_key_id = "+keyID+"\naws_secret_access_key = secret-of-tests\n")
	return dns.NewRoute53(dns.Route53Settings{CredentialsFile: file, Endpoint: server.URL})
}

func TestRoute53KeepsOtherValuesOfAName(t *testing.T) {
	t.Parallel()
	const name = "_acme-challenge.www.zone.example."
	fake := &route53{}
	provider := newRoute53(t, fake, "AKIDEXAMPLE")
	for _, value := range []string{"one", "two", "two"} {
		if _, err := provider.AppendRecords(t.Context(), "zone.example.", challenge(value)); err != nil {
			t.Fatal(err)
		}
	}
	if got := fake.values(name); !slices.Equal(got, []string{`"one"`, `"two"`}) {
		t.Errorf("%q", got)
	}
	// Another edge adds a value between this one's look and its change.
	other := newRoute53(t, fake, "AKIDEXAMPLE")
	fake.mu.Lock()
	fake.between = func() {
		if _, err := other.AppendRecords(t.Context(), "zone.example.", challenge("three")); err != nil {
			t.Error(err)
		}
	}
	fake.mu.Unlock()
	if _, err := provider.DeleteRecords(t.Context(), "zone.example.", challenge("one")); err != nil {
		t.Fatal(err)
	}
	if got := fake.values(name); !slices.Equal(got, []string{`"three"`, `"two"`}) {
		t.Errorf("a value is lost: %q", got)
	}
	for _, value := range []string{"two", "three", "never there"} {
		if _, err := provider.DeleteRecords(t.Context(), "zone.example.", challenge(value)); err != nil {
			t.Fatal(err)
		}
	}
	if got := fake.values(name); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

func TestWhatRoute53RefusesIsToldWithoutTheSecret(t *testing.T) {
	t.Parallel()
	if _, err := newRoute53(t, &route53{}, "AKIDOTHER").AppendRecords(t.Context(), "zone.example", challenge("x")); err == nil || !strings.Contains(err.Error(), "InvalidClientTokenId") || strings.Contains(err.Error(), "secret-of-tests") {
		t.Errorf("a wrong key: %v", err)
	}
	if _, err := newRoute53(t, &route53{}, "AKIDEXAMPLE").AppendRecords(t.Context(), "other.example", challenge("x")); err == nil || !strings.Contains(err.Error(), "no public hosted zone other.example.") {
		t.Errorf("another's zone: %v", err)
	}
}

func TestRoute53IsAskedAgainWhenItIsBusy(t *testing.T) {
	t.Parallel()
	fake := &route53{busy: 2}
	if _, err := newRoute53(t, fake, "AKIDEXAMPLE").AppendRecords(t.Context(), "zone.example.", challenge("x")); err != nil {
		t.Error(err)
	}
	if got := fake.values("_acme-challenge.www.zone.example."); !slices.Equal(got, []string{`"x"`}) {
		t.Errorf("%q", got)
	}
}
