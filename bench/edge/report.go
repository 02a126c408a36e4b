package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// report tells the results: at once, as lines, or at the end, as tables for the documentation.
type report struct {
	markdown bool
	headed   bool
	proxies  []*proxy
	rows     []row    // of the table of throughput
	idling   []string // rows of the tables of memory
	soaked   []string
}

// row is a mode's figures, as a table shows them.
type row struct {
	mode  string
	cells []string
}

var modeTitles = map[string]string{
	"h1": "HTTP/1.1, 0.9 KB, 64 connections", "h1-log": "the same, the edge with access log and rate limit", "h1-64k": "HTTP/1.1, 64 KB",
	"h1-new": "a connection and its TLS handshake for each request", "h2": "HTTP/2, 32 connections of 8 streams",
}

// throughput tells what a mode's rounds came to.
func (r *report) throughput(mode string, proxies []*proxy, figures map[*proxy][]figure) {
	if !r.markdown && !r.headed {
		fmt.Printf("%-8s %-8s %9s %12s %8s %7s %5s  %s\n", "mode", "proxy", "req/s", "CPU us/req", "p99 ms", "MB", "bad", "edge / it")
		r.headed = true
	}
	r.proxies = proxies
	ours := middle(figures[proxies[0]])
	line := row{mode: mode}
	for i, p := range proxies {
		m := middle(figures[p])
		ratio := ""
		if i > 0 {
			ratio = fmt.Sprintf("%.2f", ours.cpu/m.cpu)
		}
		line.cells = append(line.cells, m.cell(ratio))
		if !r.markdown {
			fmt.Printf("%-8s %-8s %9.0f %12.1f %8s %7.0f %5d  %s\n", mode, p.name, m.rate, m.cpu, milliseconds(m.p99), m.resident, m.bad, ratio)
		} else {
			fmt.Fprintln(os.Stderr, mode, p.name, "measured")
		}
	}
	r.rows = append(r.rows, line)
}

func (f figure) cell(ratio string) string {
	parts := []string{fmt.Sprintf("%.1f µs", f.cpu)}
	if ratio != "" {
		parts[0] += " (" + ratio + ")"
	}
	parts = append(parts, fmt.Sprintf("%s/s", thousands(f.rate)))
	if f.p99 != unknown {
		parts = append(parts, "p99 "+milliseconds(f.p99)+" ms")
	}
	parts = append(parts, fmt.Sprintf("%.0f MB", f.resident))
	if f.bad > 0 {
		parts = append(parts, fmt.Sprintf("**%d bad**", f.bad))
	}
	return strings.Join(parts, ", ")
}

// idle tells what idle connections cost.
func (r *report) idle(p *proxy, g growth) {
	each := float64(g.after-g.before) / float64(g.connections) / 1024
	if r.markdown {
		r.idling = append(r.idling, fmt.Sprintf("| %s | %.1f KiB | %.0f MB → %.0f MB | %s of %s |", p.name, each,
			megabytes(g.before), megabytes(g.after), thousands(float64(g.open)), thousands(float64(g.connections))))
		return
	}
	fmt.Printf("idle     %-8s %.1f KiB a connection: %.0f MB to %.0f MB; %d of %d connections still open\n",
		p.name, each, megabytes(g.before), megabytes(g.after), g.open, g.connections)
}

// soak tells how memory grew over many requests.
func (r *report) soak(p *proxy, requests int, resident [len(soakParts)]int64, bad int) {
	if r.markdown {
		line := "| " + p.name
		for _, bytes := range resident {
			line += fmt.Sprintf(" | %.0f MB", megabytes(bytes))
		}
		r.soaked = append(r.soaked, fmt.Sprintf("%s | %d |", line, bad))
		return
	}
	fmt.Printf("soak     %-8s %.0f, %.0f, %.0f MB after 10, 50, 100 %% of %s requests; %d bad\n",
		p.name, megabytes(resident[0]), megabytes(resident[1]), megabytes(resident[2]), thousands(float64(requests)), bad)
}

// flush writes the tables.
func (r *report) flush(w io.Writer) error {
	if !r.markdown {
		return nil
	}
	var out strings.Builder
	if len(r.rows) > 0 {
		out.WriteString("| |")
		for _, p := range r.proxies {
			out.WriteString(" " + strings.TrimSpace(p.name+" "+p.version) + " |")
		}
		out.WriteString("\n|" + strings.Repeat(" --- |", len(r.proxies)+1) + "\n")
		for _, line := range r.rows {
			out.WriteString("| " + cmp.Or(modeTitles[line.mode], line.mode) + " | " + strings.Join(line.cells, " | ") + " |\n")
		}
	}
	if len(r.idling) > 0 {
		out.WriteString("\n| | an idle connection | resident memory | still open |\n| --- | --- | --- | --- |\n" + strings.Join(r.idling, "\n") + "\n")
	}
	if len(r.soaked) > 0 {
		out.WriteString("\n| | after 10 % | after 50 % | after all | bad answers |\n| --- | --- | --- | --- | --- |\n" + strings.Join(r.soaked, "\n") + "\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// middle takes the median of each figure.
func middle(all []figure) figure {
	var m figure
	m.rate = median(all, func(f figure) float64 { return f.rate })
	m.cpu = median(all, func(f figure) float64 { return f.cpu })
	m.resident = median(all, func(f figure) float64 { return f.resident })
	m.p99 = median(all, func(f figure) time.Duration { return f.p99 })
	for _, f := range all { // none may be hidden by the others
		m.bad += f.bad
	}
	return m
}

func median[T cmp.Ordered](all []figure, of func(figure) T) T {
	var values []T
	for _, f := range all {
		values = append(values, of(f))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func milliseconds(d time.Duration) string {
	if d == unknown {
		return "–"
	}
	return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000)
}

func megabytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// thousands writes a number as 12,345.
func thousands(number float64) string {
	text := fmt.Sprintf("%.0f", number)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
