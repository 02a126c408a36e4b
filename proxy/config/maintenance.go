package config

import (
	"fmt"
	"net/netip"
)

// Maintenance has a site answer that it is under maintenance.
type Maintenance struct {
	Message string   `yaml:"message"` // "": the edge's own words
	Allow   []Prefix `yaml:"allow"`   // clients who are served all the same

	off bool
}

// UnmarshalText reads true and false.
func (m *Maintenance) UnmarshalText(text []byte) error {
	switch string(text) {
	case "true":
	case "false":
		m.off = true
	default:
		return fmt.Errorf("%q is neither true, false nor keys such as {allow: [10.0.0.0/8]}", text)
	}
	return nil
}

// Allowed are the clients who are served all the same.
func (m *Maintenance) Allowed() []netip.Prefix {
	list := make([]netip.Prefix, 0, len(m.Allow))
	for _, prefix := range m.Allow {
		list = append(list, prefix.Prefix)
	}
	return list
}
