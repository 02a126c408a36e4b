package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"
)

// changeAttempts bounds how often a change is made anew because another edge changed the same name in between.
const changeAttempts = 5

// Route53Settings say how zones in Amazon Route 53 are reached.
type Route53Settings struct {
	Region          string // "" is us-east-1: the service is the same everywhere outside of China and GovCloud
	HostedZoneID    string // "" is the public zone of the name
	CredentialsFile string // in the form of ~/.aws/credentials; "": as awsCredentials finds them
	Endpoint        string // URL of another server of the API; "" is Amazon's
}

// Route53 changes zones in Amazon Route 53. It needs route53:ListHostedZonesByName, ListResourceRecordSets and
// ChangeResourceRecordSets.
type Route53 struct {
	settings Route53Settings

	mu     sync.Mutex
	client *route53Client
}

// NewRoute53 makes a provider. Credentials are looked for at the first change.
func NewRoute53(settings Route53Settings) *Route53 { return &Route53{settings: settings} }

// AppendRecords implements libdns.RecordAppender.
func (p *Route53) AppendRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return p.change(ctx, zone, records, func(values []string, value string) []string {
		if slices.Contains(values, value) {
			return values
		}
		return append(values, value)
	})
}

// DeleteRecords implements libdns.RecordDeleter.
func (p *Route53) DeleteRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return p.change(ctx, zone, records, func(values []string, value string) []string {
		return slices.DeleteFunc(values, func(candidate string) bool { return candidate == value })
	})
}

func (p *Route53) change(ctx context.Context, zone string, records []libdns.Record, edit func(values []string, value string) []string) ([]libdns.Record, error) {
	wanted, err := texts(zone, records)
	if err != nil {
		return nil, err
	}
	client, err := p.open()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	id, err := p.zone(ctx, client, zone)
	if err != nil {
		return nil, err
	}
	for _, record := range wanted {
		if err := changeSet(ctx, client, id, record, edit); err != nil {
			return nil, fmt.Errorf("route 53, %s: %w", zone, err)
		}
	}
	return records, nil
}

func (p *Route53) open() (*route53Client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client != nil {
		return p.client, nil
	}
	credentials, err := awsCredentials(p.settings.CredentialsFile, os.Getenv)
	if err != nil {
		return nil, fmt.Errorf("credentials for Route 53: %w", err)
	}
	p.client = newRoute53Client(cmp.Or(p.settings.Region, os.Getenv("AWS_REGION")), p.settings.Endpoint, credentials)
	return p.client, nil
}

// zone finds the hosted zone's id.
func (p *Route53) zone(ctx context.Context, client *route53Client, zone string) (string, error) {
	if p.settings.HostedZoneID != "" {
		return p.settings.HostedZoneID, nil
	}
	name := dns.CanonicalName(zone)
	listed, err := client.hostedZonesByName(ctx, name)
	if err != nil {
		return "", fmt.Errorf("the hosted zone of %s: %w", zone, err)
	}
	for _, candidate := range listed { // sorted, beginning with the name
		if candidate.Name == name && !candidate.Private {
			return strings.TrimPrefix(candidate.ID, "/hostedzone/"), nil
		}
	}
	return "", fmt.Errorf("route 53 shows no public hosted zone %s to these credentials: make it, or name it by hosted_zone_id", name)
}

// changeSet edits the values of one name, which Route 53 keeps as a set. The set as it was read is deleted and the new one
// created in one batch, so that nobody else's change is lost: one that came between makes the batch fail, and it is tried anew.
func changeSet(ctx context.Context, client *route53Client, zone string, record text, edit func([]string, string) []string) error {
	for attempt := 1; ; attempt++ {
		current, err := readSet(ctx, client, zone, record.name)
		if err != nil {
			return err
		}
		var values []string
		var changes []change
		if current != nil {
			for _, stored := range current.Records {
				values = append(values, stored.Value)
			}
			changes = append(changes, change{Action: "DELETE", Set: *current})
		}
		before := slices.Clone(values)
		values = edit(values, quoted(record.value))
		if slices.Equal(before, values) {
			return nil
		}
		if len(values) > 0 {
			changes = append(changes, change{Action: "CREATE", Set: set(record, values)})
		}
		err = client.changeRecordSets(ctx, zone, changes)
		if !errors.Is(err, errInvalidChangeBatch) || attempt == changeAttempts {
			return err
		}
	}
}

// readSet is the set of TXT records of a name, or nil.
func readSet(ctx context.Context, client *route53Client, zone, name string) (*resourceRecordSet, error) {
	listed, err := client.recordSets(ctx, zone, name, "TXT")
	if err != nil {
		return nil, err
	}
	for _, candidate := range listed {
		if candidate.Name == name && candidate.Type == "TXT" {
			return &candidate, nil
		}
	}
	return nil, nil //nolint:nilnil // there is none, which is no error
}

func set(record text, values []string) resourceRecordSet {
	made := resourceRecordSet{Name: record.name, Type: "TXT", TTL: int(record.ttl / time.Second)}
	for _, value := range values {
		made.Records = append(made.Records, resourceRecord{value})
	}
	return made
}
