package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/portico-web/portico/proxy/control"
)

type statusCommand struct {
	adminFlag
	JSON  bool          `name:"json" help:"Print JSON, for programs."`
	Watch watchInterval `placeholder:"2s" help:"Show it anew until Ctrl-C, every 2 s or at the interval given (--watch=5s)."`
}

// Help is what --help says besides the flags.
func (statusCommand) Help() string {
	return `Rates, shares of 4xx and 5xx, and durations (p50, p99) are those of about the last minute; durations are read off the buckets of
/metrics. With --json and --watch each state is one line.

  proxy status --config proxy.yaml
  proxy status --socket /run/portico/admin.sock --watch
  proxy status --json | jq '.targets[] | select(.healthy | not)'`
}

// watchInterval is a duration that need not be given: --watch or --watch=5s.
type watchInterval struct{ time.Duration }

// IsBool lets the flag stand alone.
func (watchInterval) IsBool() bool { return true }

// Decode implements kong.MapperValue.
func (w *watchInterval) Decode(context *kong.DecodeContext) (err error) {
	w.Duration = 2 * time.Second
	if context.Scan.Peek().Type != kong.FlagValueToken {
		return nil
	}
	text := context.Scan.Pop().String()
	if w.Duration, err = time.ParseDuration(text); err != nil || w.Duration < 100*time.Millisecond {
		return fmt.Errorf("%q is not a duration of 100ms or more, such as 2s", text)
	}
	return nil
}

// Run prints what a running edge says of itself.
func (c statusCommand) Run(ctx context.Context) error {
	if c.Watch.Duration == 0 {
		var status control.Status
		if err := c.call(ctx, http.MethodGet, "/status", &status); err != nil {
			return err
		}
		return c.print(os.Stdout, &status)
	}
	if !c.JSON && isTerminal(os.Stdout) {
		fmt.Print(clearScreen)
	}
	ticker := time.NewTicker(c.Watch.Duration)
	defer ticker.Stop()
	for {
		var status control.Status
		err := c.call(ctx, http.MethodGet, "/status", &status)
		if errors.Is(err, context.Canceled) || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.redraw(os.Stdout, &status); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (c statusCommand) print(out io.Writer, status *control.Status) error {
	if !c.JSON {
		_, err := out.Write(statusText(status, time.Now(), paintFor(out)))
		return err
	}
	encoder := json.NewEncoder(out)
	if c.Watch.Duration == 0 {
		encoder.SetIndent("", "  ")
	}
	return encoder.Encode(status)
}

// What terminals understand (ECMA-48).
const (
	clearScreen = "\x1b[2J"
	home        = "\x1b[H"
	clearLine   = "\x1b[K" // to its end
	clearBelow  = "\x1b[J"
)

// redraw prints over what was printed before, line by line and in one write, so that nothing flickers.
func (c statusCommand) redraw(out io.Writer, status *control.Status) error {
	if c.JSON || !isTerminal(out) {
		return c.print(out, status)
	}
	text := statusText(status, time.Now(), paintFor(out))
	text = bytes.ReplaceAll(text, []byte("\n"), []byte(clearLine+"\n"))
	_, err := out.Write(append(append([]byte(home), text...), clearBelow...))
	return err
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// paint colours a text. Every colour is as many bytes long, so that columns of a tabwriter stay even.
type paint func(color, text string) string

const (
	plain = "\x1b[39m"
	red   = "\x1b[31m"
	green = "\x1b[32m"
	amber = "\x1b[33m"
)

// paintFor colours on terminals, unless NO_COLOR is set (https://no-color.org).
func paintFor(out io.Writer) paint {
	if !isTerminal(out) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return func(_, text string) string { return text }
	}
	return func(color, text string) string { return color + text + plain }
}

// statusText is the status as a person reads it.
func statusText(status *control.Status, now time.Time, in paint) []byte {
	var text bytes.Buffer
	state := in(green, "serving")
	if status.Draining {
		state = in(amber, "draining")
	}
	fmt.Fprintf(&text, "portico proxy %s, %s for %s\n", cmp.Or(status.Version, "dev"), state, age(status.Started, now))
	var places []string
	for _, place := range []struct{ scheme, address string }{{"http", status.HTTP}, {"https", status.HTTPS}, {"internal", status.Internal}} {
		if place.address != "" {
			places = append(places, place.scheme+" "+place.address)
		}
	}
	if status.HTTP3 {
		places = append(places, "HTTP/3")
	}
	fmt.Fprintf(&text, "listens on     %s\n", strings.Join(places, ", "))
	fmt.Fprintf(&text, "configuration  %s, taken over %s ago\n", cmp.Or(status.Configuration.File, "of the program"), age(status.Configuration.Since, now))
	if status.Refused != "" {
		fmt.Fprintf(&text, "%s\n", in(red, "the file on disk is refused, the one before serves:"))
		for line := range strings.Lines(status.Refused) {
			fmt.Fprintf(&text, "  %s\n", strings.TrimSpace(line))
		}
	}
	fmt.Fprintf(&text, "clients        %d requests in flight", status.InFlight)
	for _, listener := range slices.Sorted(maps.Keys(status.Connections.Open)) {
		fmt.Fprintf(&text, ", %d connections of %s", status.Connections.Open[listener], listener)
	}
	if status.Connections.Failed > 0 {
		fmt.Fprintf(&text, ", %d failed handshakes", status.Connections.Failed)
	}
	text.WriteString("\n")
	routesText(&text, status, in)
	targetsText(&text, status, in)
	upstreamsText(&text, status, in)
	limitsText(&text, status, in)
	certificatesText(&text, status, now, in)
	return text.Bytes()
}

func table(into io.Writer, head string) *tabwriter.Writer {
	fmt.Fprintln(into)
	table := tabwriter.NewWriter(into, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, head)
	return table
}

func routesText(into io.Writer, status *control.Status, in paint) {
	rows := table(into, "SITE\tROUTE\tDOES\tREQUESTS\tPER SECOND\t"+in(plain, "4XX")+"\t"+in(plain, "5XX")+"\tP50\tP99")
	row := func(site, path, does string, traffic *control.Traffic) {
		fmt.Fprintf(rows, "%s\t%s\t%s\t%d\t%.1f\t%s\t%s\t%s\t%s\n", site, path, does, traffic.Requests, traffic.PerSecond,
			share(traffic.ClientErrors, traffic.Recent, in, amber), share(traffic.ServerErrors, traffic.Recent, in, red),
			duration(traffic.Median, traffic.Recent), duration(traffic.P99, traffic.Recent))
	}
	for i := range status.Routes {
		route := &status.Routes[i]
		row(route.Site, route.Path, route.Action, &route.Traffic)
	}
	row("all", "", "", &status.Traffic)
	_ = rows.Flush()
}

func targetsText(into io.Writer, status *control.Status, in paint) {
	if len(status.Targets) == 0 {
		return
	}
	rows := table(into, "UPSTREAM\tTARGET\t"+in(plain, "HEALTH")+"\tACTIVE")
	for _, target := range status.Targets {
		health := in(green, "healthy")
		if !target.Healthy {
			health = in(red, "unhealthy")
		}
		fmt.Fprintf(rows, "%s\t%s\t%s\t%d\n", target.Upstream, target.Target, health, target.Active)
	}
	_ = rows.Flush()
}

// upstreamsText tells of upstreams that are not just what proxy.yaml says.
func upstreamsText(into io.Writer, status *control.Status, in paint) {
	for _, upstream := range status.Upstreams {
		var states []string
		state := func(holds bool, text string) {
			if holds {
				states = append(states, text)
			}
		}
		state(upstream.Busy != "", in(amber, upstream.Busy+" under way"))
		state(upstream.Maintenance != nil, in(amber, "in maintenance"))
		state(upstream.Pause != nil, in(amber, fmt.Sprintf("paused, %d requests wait", upstream.Waiting)))
		state(upstream.Canary != nil, "with a canary")
		state(upstream.Deployed && upstream.Differs, "deployed, proxy.yaml names other targets")
		state(upstream.Deployed && !upstream.Differs, "deployed")
		if len(states) > 0 {
			fmt.Fprintf(into, "%s: %s\n", upstream.Name, strings.Join(states, "; "))
		}
	}
}

func limitsText(into io.Writer, status *control.Status, in paint) {
	if len(status.RateLimits) == 0 {
		return
	}
	rows := table(into, "RATE LIMIT\t"+in(plain, "REFUSED"))
	for _, limit := range status.RateLimits {
		color := plain
		if limit.Refused > 0 {
			color = amber
		}
		fmt.Fprintf(rows, "%s\t%s\n", limit.Name, in(color, fmt.Sprint(limit.Refused)))
	}
	_ = rows.Flush()
}

func certificatesText(into io.Writer, status *control.Status, now time.Time, in paint) {
	if len(status.Certificates) == 0 {
		return
	}
	rows := table(into, "CERTIFICATE\tSOURCE\t"+in(plain, "EXPIRES")+"\tLAST ERROR")
	for _, certificate := range status.Certificates {
		color, failed := green, "-"
		switch left := certificate.Expiry.Sub(now); {
		case left < 0:
			color = red
		case left < 7*24*time.Hour || certificate.Error != "":
			color = amber
		}
		if certificate.Error != "" {
			failed = certificate.Failed.Local().Format(time.DateTime) + " " + certificate.Error
		}
		fmt.Fprintf(rows, "%s\t%s\t%s\t%s\n", certificate.Name, certificate.Source, in(color, expiry(certificate.Expiry, now)), failed)
	}
	_ = rows.Flush()
}

// share is a share of requests in percent; a dash stands for none.
func share(part float64, of uint64, in paint, color string) string {
	switch {
	case of == 0 || part == 0:
		return in(plain, "-")
	case part < 0.001:
		return in(color, "<0.1%")
	default:
		return in(color, fmt.Sprintf("%.1f%%", 100*part))
	}
}

// duration is a time in the unit that fits; a dash stands for none.
func duration(seconds float64, of uint64) string {
	switch {
	case of == 0:
		return "-"
	case seconds < 0.01:
		return fmt.Sprintf("%.1f ms", 1000*seconds)
	case seconds < 1:
		return fmt.Sprintf("%.0f ms", 1000*seconds)
	default:
		return fmt.Sprintf("%.1f s", seconds)
	}
}

// age is how long something has lasted, in the two units that say most.
func age(since, now time.Time) string {
	d := max(now.Sub(since), 0).Round(time.Second)
	days, hours, minutes, seconds := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case days > 0:
		return fmt.Sprintf("%d d %d h", days, hours)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%d min %d s", minutes, seconds)
	default:
		return fmt.Sprintf("%d s", seconds)
	}
}
