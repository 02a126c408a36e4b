package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/portico-web/portico/internal/ratelimit"
)

// Prefix is an address range; a single address stands for the range of itself.
type Prefix struct{ netip.Prefix }

// UnmarshalText reads 10.0.0.0/8, 2001:db8::/32 or a single address.
func (p *Prefix) UnmarshalText(text []byte) error {
	if addr, err := netip.ParseAddr(string(text)); err == nil {
		p.Prefix = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		return nil
	}
	prefix, err := netip.ParsePrefix(string(text))
	if err != nil {
		return fmt.Errorf("%q is not an address or a range such as 10.0.0.0/8", text)
	}
	if prefix.Masked() != prefix {
		return fmt.Errorf("%q has bits set behind its length: did you mean %s?", text, prefix.Masked())
	}
	if prefix.Addr().Is4In6() && prefix.Bits() >= 96 { // clients' addresses are compared in their IPv4 form
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	p.Prefix = prefix
	return nil
}

// Rate is how often, as in 50/s.
type Rate struct {
	Events int
	Period time.Duration
}

// UnmarshalText reads what ratelimit.ParseRate does.
func (r *Rate) UnmarshalText(text []byte) (err error) {
	r.Events, r.Period, err = ratelimit.ParseRate(string(text))
	return err
}

// Share is a part of a whole, from 0 to 1.
type Share float64

// UnmarshalText reads 0.1, 1/10 or 10%.
func (s *Share) UnmarshalText(text []byte) error {
	number, of := string(text), 1.0
	var err error
	if cut, isPercent := strings.CutSuffix(number, "%"); isPercent {
		number, of = cut, 100
	} else if part, whole, isFraction := strings.Cut(number, "/"); isFraction {
		number = part
		of, err = strconv.ParseFloat(whole, 64)
	}
	value, wrong := strconv.ParseFloat(number, 64)
	if value /= of; err != nil || wrong != nil || !(value >= 0 && value <= 1) { // which NaN is not, either
		return fmt.Errorf("%q is not a share such as 1/10, 0.1 or 10%%", text)
	}
	*s = Share(value)
	return nil
}

// Size is a number of bytes.
type Size int64

// UnmarshalText reads 65536, 64KiB, 10MiB or 1GiB.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := string(text), int64(1)
	for suffix, bytes := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if cut, ok := strings.CutSuffix(number, suffix); ok {
			number, unit = cut, bytes
		}
	}
	var count int64
	if _, err := fmt.Sscanf(number+"\n", "%d\n", &count); err != nil || count < 0 || count > (1<<40)/unit {
		return fmt.Errorf("%q is not a size such as 65536, 64KiB or 10MiB", text)
	}
	*s = Size(count * unit)
	return nil
}

// Words is a list of words; one stands for a list of itself.
type Words []string

// UnmarshalText reads one word.
func (w *Words) UnmarshalText(text []byte) error {
	*w = Words{string(text)}
	return nil
}
