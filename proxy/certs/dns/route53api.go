package dns

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// The API of Route 53, version 2013-04-01: three calls of it, signed by Signature Version 4.
const route53API = "/2013-04-01"

// callAttempts bounds how often a call is made that Route 53 has no time for: it takes five a second of an account.
const callAttempts = 5

type route53Client struct {
	http        *http.Client
	endpoint    string
	region      string // that signs
	credentials aws.CredentialsProvider
	signer      *v4.Signer
}

// newRoute53Client finds the partition's endpoint and signing region by the region that the zones are reached from.
func newRoute53Client(region, endpoint string, credentials aws.CredentialsProvider) *route53Client {
	where, signs := "https://route53.amazonaws.com", "us-east-1"
	switch {
	case strings.HasPrefix(region, "cn-"):
		where, signs = "https://route53.amazonaws.com.cn", "cn-northwest-1"
	case strings.HasPrefix(region, "us-gov-"):
		where, signs = "https://route53.us-gov.amazonaws.com", "us-gov-west-1"
	}
	if endpoint != "" {
		where = strings.TrimSuffix(endpoint, "/")
	}
	return &route53Client{http: &http.Client{Timeout: callTimeout}, endpoint: where, region: signs, credentials: credentials, signer: v4.NewSigner()}
}

type hostedZone struct {
	ID      string `xml:"Id"` // /hostedzone/…
	Name    string // with a dot at its end
	Private bool   `xml:"Config>PrivateZone"`
}

// resourceRecordSet is the set of records of a name and type. Inner is how it was read, with what this does not know.
type resourceRecordSet struct {
	Name    string
	Type    string
	TTL     int
	Records []resourceRecord `xml:"ResourceRecords>ResourceRecord"`
	Inner   string           `xml:",innerxml"`
}

type resourceRecord struct{ Value string }

type change struct {
	Action string // CREATE, DELETE
	Set    resourceRecordSet
}

// MarshalXML hands back a set that was read exactly as it was.
func (c change) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	type element struct {
		Action string
		Set    any `xml:"ResourceRecordSet"`
	}
	if c.Set.Inner != "" {
		return e.EncodeElement(element{c.Action, struct {
			Inner string `xml:",innerxml"`
		}{c.Set.Inner}}, start)
	}
	return e.EncodeElement(element{c.Action, c.Set}, start)
}

// hostedZonesByName are the zones from name on, in their order.
func (c *route53Client) hostedZonesByName(ctx context.Context, name string) ([]hostedZone, error) {
	var answer struct {
		Zones []hostedZone `xml:"HostedZones>HostedZone"`
	}
	return answer.Zones, c.call(ctx, http.MethodGet, "/hostedzonesbyname", url.Values{"dnsname": {name}}, nil, &answer)
}

// recordSets are the sets of a zone from a name and type on, at most one.
func (c *route53Client) recordSets(ctx context.Context, zone, name, kind string) ([]resourceRecordSet, error) {
	var answer struct {
		Sets []resourceRecordSet `xml:"ResourceRecordSets>ResourceRecordSet"`
	}
	query := url.Values{"name": {name}, "type": {kind}, "maxitems": {"1"}}
	return answer.Sets, c.call(ctx, http.MethodGet, "/hostedzone/"+url.PathEscape(zone)+"/rrset", query, nil, &answer)
}

// changeRecordSets applies all changes or none; errInvalidChangeBatch says that they do not fit what is there.
func (c *route53Client) changeRecordSets(ctx context.Context, zone string, changes []change) error {
	request := struct {
		XMLName xml.Name `xml:"https://route53.amazonaws.com/doc/2013-04-01/ ChangeResourceRecordSetsRequest"`
		Changes []change `xml:"ChangeBatch>Changes>Change"`
	}{Changes: changes}
	content, err := xml.Marshal(request)
	if err != nil {
		return err
	}
	return c.call(ctx, http.MethodPost, "/hostedzone/"+url.PathEscape(zone)+"/rrset", nil, append([]byte(xml.Header), content...), nil)
}

var errInvalidChangeBatch = errors.New("InvalidChangeBatch")

// call makes one call, again after a while if Route 53 is busy, and decodes the answer. Errors hold what the API says, never a key.
func (c *route53Client) call(ctx context.Context, method, path string, query url.Values, body []byte, answer any) error {
	for attempt := 1; ; attempt++ {
		busy, err := c.try(ctx, method, route53API+path, query, body, answer)
		if !busy || attempt == callAttempts {
			return err
		}
		timer := time.NewTimer(time.Duration(1<<attempt) * 100 * time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(err, ctx.Err())
		case <-timer.C:
		}
	}
}

func (c *route53Client) try(ctx context.Context, method, path string, query url.Values, body []byte, answer any) (busy bool, err error) {
	address := c.endpoint + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/xml")
	}
	keys, err := c.credentials.Retrieve(ctx)
	if err != nil {
		return false, fmt.Errorf("credentials for Route 53: %w", err)
	}
	digest := sha256.Sum256(body)
	if err := c.signer.SignHTTP(ctx, keys, request, hex.EncodeToString(digest[:]), "route53", c.region, time.Now()); err != nil {
		return false, fmt.Errorf("signing for Route 53: %w", err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return ctx.Err() == nil, fmt.Errorf("route 53's API: %w", err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, mostAnswer))
	switch {
	case err != nil:
		return true, fmt.Errorf("route 53's API: reading the answer: %w", err)
	case response.StatusCode != http.StatusOK:
		return refusal(response, content)
	case answer == nil:
		return false, nil
	}
	if err := xml.Unmarshal(content, answer); err != nil {
		return false, fmt.Errorf("route 53's API answers something else than it should: %w", err)
	}
	return false, nil
}

// refusal is the error that an answer holds, and whether it may be gone in a moment.
func refusal(response *http.Response, content []byte) (busy bool, err error) {
	var fault struct {
		XMLName  xml.Name
		Code     string   `xml:"Error>Code"`
		Message  string   `xml:"Error>Message"`
		Messages []string `xml:"Messages>Message"`
	}
	if xml.Unmarshal(content, &fault) == nil && fault.XMLName.Local == "InvalidChangeBatch" {
		return false, fmt.Errorf("%w: %s", errInvalidChangeBatch, strings.Join(fault.Messages, "; "))
	}
	switch fault.Code {
	case "Throttling", "ThrottlingException", "PriorRequestNotComplete", "ServiceUnavailable":
		busy = true
	}
	return busy || response.StatusCode >= 500, fmt.Errorf("route 53's API answers %s %s %s", response.Status, fault.Code, fault.Message)
}
