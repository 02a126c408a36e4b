package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// column is a kind of number that is measured, and how it is written.
type column struct {
	before, after string
	decimals      int
	compared      bool // with the edge's
	counted       bool // summed up over the rounds, so that none is hidden by the others, and left out where there are none
}

var (
	cpuEach   = &column{after: " µs", decimals: 1, compared: true} // CPU time of the proxy for a request
	cpuSum    = &column{after: " s of CPU", decimals: 2, compared: true}
	rate      = &column{after: "/s"}
	speed     = &column{after: " MB/s", compared: true}
	p50       = &column{before: "p50 ", after: " ms", decimals: 1}
	p99       = &column{before: "p99 ", after: " ms", decimals: 1}
	resident  = &column{after: " MB"}
	peak      = &column{before: "peak ", after: " MB"}
	bad       = &column{after: " bad", counted: true}
	stepped   = &column{after: " attacks/s"}
	reconnect = &column{before: "thrown out ", after: " times", counted: true}
	eachIdle  = &column{after: " KiB", decimals: 1, compared: true}
	fromSize  = &column{before: "from ", after: " MB"}
	toSize    = &column{before: "to ", after: " MB"}
	stillOpen = &column{after: " still answer"}
)

// value is one number of a measurement.
type value struct {
	*column
	number float64
}

// figure is one measurement of one proxy. All of one trial have the same columns.
type figure []value

func milliseconds(c *column, d time.Duration) value {
	return value{c, float64(d.Microseconds()) / 1000}
}

func megabytes(c *column, bytes int64) value { return value{c, float64(bytes) / (1 << 20)} }

// report tells the results: at once, as lines, or at the end, as a table for the documentation.
type report struct {
	markdown bool
	rows     []string
	proxies  []*proxy
}

// add tells what a trial's rounds came to.
func (r *report) add(mode, title string, proxies []*proxy, figures map[*proxy][]figure) {
	r.proxies = proxies
	ours := middle(figures[proxies[0]])
	row := "| " + title
	for i, p := range proxies {
		m := middle(figures[p])
		if m == nil {
			row += " | –"
			continue
		}
		var cells []string
		for at, v := range m {
			if v.counted && v.number == 0 {
				continue
			}
			cell := v.before + thousands(v.number, v.decimals) + v.after
			if i > 0 && ours != nil && v.compared {
				cell += fmt.Sprintf(" (%.2f)", ours[at].number/v.number)
			}
			cells = append(cells, cell)
		}
		row += " | " + strings.Join(cells, ", ")
		if r.markdown {
			fmt.Fprintln(os.Stderr, mode, p.name, "measured")
			continue
		}
		fmt.Printf("%-12s %-56s %-8s", mode, title, p.name)
		for _, cell := range cells {
			fmt.Printf(" %-18s", cell)
		}
		fmt.Println()
	}
	r.rows = append(r.rows, row+" |\n")
}

// flush writes the table.
func (r *report) flush(w io.Writer) error {
	if !r.markdown {
		return nil
	}
	head := "| |"
	for _, p := range r.proxies {
		head += " " + strings.TrimSpace(p.name+" "+p.version) + " |"
	}
	head += "\n|" + strings.Repeat(" --- |", len(r.proxies)+1) + "\n"
	_, err := io.WriteString(w, head+strings.Join(r.rows, ""))
	return err
}

// middle takes the median of each number, or the sum of those that are counted.
func middle(all []figure) figure {
	if len(all) == 0 {
		return nil
	}
	m := slices.Clone(all[0])
	for at := range m {
		var numbers []float64
		sum := 0.
		for _, f := range all {
			numbers = append(numbers, f[at].number)
			sum += f[at].number
		}
		slices.Sort(numbers)
		if m[at].number = numbers[len(numbers)/2]; m[at].counted {
			m[at].number = sum
		}
	}
	return m
}

// thousands writes a number as 12,345.6.
func thousands(number float64, decimals int) string {
	text := strconv.FormatFloat(number, 'f', decimals, 64)
	whole, fraction, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return strings.TrimSuffix(whole+"."+fraction, ".")
}
