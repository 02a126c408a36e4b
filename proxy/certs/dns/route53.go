package dns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/libdns/libdns"
	"github.com/miekg/dns"
)

// changeAttempts bounds how often a change is made anew because another edge changed the same name in between.
const changeAttempts = 5

// Route53Settings say how zones in Amazon Route 53 are reached. Credentials come as the SDK finds them: from the environment,
// from a file, or from the machine's role.
type Route53Settings struct {
	Region          string // "" is us-east-1: the service is the same everywhere outside of China and GovCloud
	HostedZoneID    string // "" is the public zone of the name
	CredentialsFile string // in the form of ~/.aws/credentials; "" is that file
	Endpoint        string // URL of another server of the API; "" is Amazon's
}

// Route53 changes zones in Amazon Route 53. It needs route53:ListHostedZonesByName, ListResourceRecordSets and
// ChangeResourceRecordSets.
type Route53 struct {
	settings Route53Settings

	mu     sync.Mutex
	client *route53.Client
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
	client, err := p.open(ctx)
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

func (p *Route53) open(ctx context.Context) (*route53.Client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client != nil {
		return p.client, nil
	}
	var options []func(*config.LoadOptions) error
	if p.settings.CredentialsFile != "" {
		options = append(options, config.WithSharedCredentialsFiles([]string{p.settings.CredentialsFile}))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("credentials for Route 53: %w", err)
	}
	if p.settings.Region != "" || loaded.Region == "" {
		loaded.Region = p.settings.Region
	}
	if loaded.Region == "" {
		loaded.Region = "us-east-1"
	}
	p.client = route53.NewFromConfig(loaded, func(o *route53.Options) {
		if p.settings.Endpoint != "" {
			o.BaseEndpoint = aws.String(p.settings.Endpoint)
		}
	})
	return p.client, nil
}

// zone finds the hosted zone's id.
func (p *Route53) zone(ctx context.Context, client *route53.Client, zone string) (string, error) {
	if p.settings.HostedZoneID != "" {
		return p.settings.HostedZoneID, nil
	}
	name := dns.CanonicalName(zone)
	listed, err := client.ListHostedZonesByName(ctx, &route53.ListHostedZonesByNameInput{DNSName: aws.String(name)})
	if err != nil {
		return "", fmt.Errorf("route 53: the hosted zone of %s: %w", zone, err)
	}
	for _, candidate := range listed.HostedZones { // sorted, beginning with the name
		if aws.ToString(candidate.Name) == name && (candidate.Config == nil || !candidate.Config.PrivateZone) {
			return strings.TrimPrefix(aws.ToString(candidate.Id), "/hostedzone/"), nil
		}
	}
	return "", fmt.Errorf("route 53 shows no public hosted zone %s to these credentials: make it, or name it by hosted_zone_id", name)
}

// changeSet edits the values of one name, which Route 53 keeps as a set. The set as it was read is deleted and the new one
// created in one batch, so that nobody else's change is lost: one that came between makes the batch fail, and it is tried anew.
func changeSet(ctx context.Context, client *route53.Client, zone string, record text, edit func([]string, string) []string) error {
	for attempt := 1; ; attempt++ {
		current, err := readSet(ctx, client, zone, record.name)
		if err != nil {
			return err
		}
		var values []string
		var changes []types.Change
		if current != nil {
			for _, stored := range current.ResourceRecords {
				values = append(values, aws.ToString(stored.Value))
			}
			changes = append(changes, types.Change{Action: types.ChangeActionDelete, ResourceRecordSet: current})
		}
		before := slices.Clone(values)
		values = edit(values, quoted(record.value))
		if slices.Equal(before, values) {
			return nil
		}
		if len(values) > 0 {
			changes = append(changes, types.Change{Action: types.ChangeActionCreate, ResourceRecordSet: set(record, values)})
		}
		_, err = client.ChangeResourceRecordSets(ctx, &route53.ChangeResourceRecordSetsInput{
			HostedZoneId: aws.String(zone), ChangeBatch: &types.ChangeBatch{Changes: changes},
		})
		if _, changed := errors.AsType[*types.InvalidChangeBatch](err); !changed || attempt == changeAttempts {
			return err
		}
	}
}

// readSet is the set of TXT records of a name, or nil.
func readSet(ctx context.Context, client *route53.Client, zone, name string) (*types.ResourceRecordSet, error) {
	listed, err := client.ListResourceRecordSets(ctx, &route53.ListResourceRecordSetsInput{
		HostedZoneId: aws.String(zone), StartRecordName: aws.String(name), StartRecordType: types.RRTypeTxt, MaxItems: aws.Int32(1),
	})
	if err != nil {
		return nil, err
	}
	for _, candidate := range listed.ResourceRecordSets {
		if aws.ToString(candidate.Name) == name && candidate.Type == types.RRTypeTxt {
			return &candidate, nil
		}
	}
	return nil, nil //nolint:nilnil // there is none, which is no error
}

func set(record text, values []string) *types.ResourceRecordSet {
	made := &types.ResourceRecordSet{Name: aws.String(record.name), Type: types.RRTypeTxt, TTL: aws.Int64(int64(record.ttl / time.Second))}
	for _, value := range values {
		made.ResourceRecords = append(made.ResourceRecords, types.ResourceRecord{Value: aws.String(value)})
	}
	return made
}
