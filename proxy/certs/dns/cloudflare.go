package dns

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/libdns/libdns"
)

const (
	// CloudflareAPI is where Cloudflare's API is.
	CloudflareAPI = "https://api.cloudflare.com/client/v4"
	// callTimeout bounds one call of an API, mostAnswer what is read of its answer.
	callTimeout = 30 * time.Second
	mostAnswer  = 1 << 20
)

// Cloudflare changes zones by Cloudflare's API, version 4. The token needs the permissions Zone:Read and DNS:Edit.
type Cloudflare struct {
	api, tokenFile string
	client         *http.Client
}

// NewCloudflare makes a provider that calls the API at the URL api. The token in tokenFile is read for each call, so that it
// may be replaced meanwhile.
func NewCloudflare(api, tokenFile string) *Cloudflare {
	return &Cloudflare{api: strings.TrimSuffix(api, "/"), tokenFile: tokenFile, client: &http.Client{Timeout: callTimeout}}
}

type cloudflareRecord struct {
	ID      string `json:"id,omitempty"`
	Type    string `json:"type"`
	Name    string `json:"name"`
	Content string `json:"content"`
	TTL     int    `json:"ttl"`
}

// AppendRecords implements libdns.RecordAppender.
func (p *Cloudflare) AppendRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	wanted, err := texts(zone, records)
	if err != nil {
		return nil, err
	}
	path, err := p.recordsOf(ctx, zone)
	if err != nil {
		return nil, err
	}
	for _, record := range wanted {
		made := cloudflareRecord{Type: "TXT", Name: strings.TrimSuffix(record.name, "."), Content: quoted(record.value), TTL: int(record.ttl / time.Second)}
		if err := p.call(ctx, http.MethodPost, path, nil, made, nil); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// DeleteRecords implements libdns.RecordDeleter.
func (p *Cloudflare) DeleteRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	wanted, err := texts(zone, records)
	if err != nil {
		return nil, err
	}
	path, err := p.recordsOf(ctx, zone)
	if err != nil {
		return nil, err
	}
	for _, record := range wanted {
		var found []cloudflareRecord
		query := url.Values{"type": {"TXT"}, "name": {strings.TrimSuffix(record.name, ".")}}
		if err := p.call(ctx, http.MethodGet, path, query, nil, &found); err != nil {
			return nil, err
		}
		for _, candidate := range found {
			// What was stored by others may lack the quotation marks.
			if candidate.Content != quoted(record.value) && candidate.Content != record.value {
				continue
			}
			if err := p.call(ctx, http.MethodDelete, path+"/"+url.PathEscape(candidate.ID), nil, nil, nil); err != nil {
				return nil, err
			}
		}
	}
	return records, nil
}

// recordsOf is the path of a zone's records.
func (p *Cloudflare) recordsOf(ctx context.Context, zone string) (string, error) {
	name := strings.TrimSuffix(zone, ".")
	var zones []struct {
		ID string `json:"id"`
	}
	if err := p.call(ctx, http.MethodGet, "/zones", url.Values{"name": {name}}, nil, &zones); err != nil {
		return "", err
	}
	if len(zones) != 1 {
		return "", fmt.Errorf("cloudflare shows no zone %s to this token: give it Zone:Read and DNS:Edit for the zone", name)
	}
	return "/zones/" + url.PathEscape(zones[0].ID) + "/dns_records", nil
}

// call makes one call and decodes what it results in. Errors hold what the API says, never the token.
func (p *Cloudflare) call(ctx context.Context, method, path string, query url.Values, body, result any) error {
	token, err := os.ReadFile(p.tokenFile)
	if err != nil {
		return fmt.Errorf("cloudflare's token: %w", err)
	}
	var content io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(encoded)
	}
	address := p.api + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, address, content)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	request.Header.Set("Content-Type", "application/json")
	response, err := p.client.Do(request)
	if err != nil {
		return fmt.Errorf("cloudflare's API: %w", err)
	}
	defer response.Body.Close()
	var answer struct {
		Success bool `json:"success"`
		Errors  []struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
		Result json.RawMessage `json:"result"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, mostAnswer)).Decode(&answer); err != nil {
		return fmt.Errorf("cloudflare's API answers %s to %s %s, and not in JSON: %w", response.Status, method, path, err)
	}
	if !answer.Success {
		reason := response.Status
		for _, fault := range answer.Errors {
			reason += fmt.Sprintf("; %s (%d)", fault.Message, fault.Code)
		}
		return fmt.Errorf("cloudflare's API refuses %s %s: %s", method, path, reason)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Result, result)
}
