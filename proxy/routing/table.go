// Package routing decides, from a host and a path alone, which site and which of its routes a request belongs to.
package routing

import (
	"fmt"
	"strings"
)

// Route is a path prefix and what the caller keeps for it. "/x/" and "/x" both match /x, /x/ and everything below, never /xy.
type Route[V any] struct {
	Path  string
	Value V
}

// Site answers for its hosts; requests for a host of RedirectFrom belong to the first of Hosts. Hosts are names, *.name for
// exactly one more label, or AnyHost. Value is what the caller keeps for the site, as Route's is for a route.
type Site[S, R any] struct {
	Hosts        []string
	RedirectFrom []string
	Routes       []Route[R]
	Value        S

	routes  map[string]*Route[R]
	longest int
}

// Name is the site's first host, under which it is known in logs and metrics.
func (s *Site[S, R]) Name() string { return s.Hosts[0] }

type entry[S, R any] struct {
	site     *Site[S, R]
	redirect bool
}

// Table holds sites for look-ups. It is never changed after New and may be used concurrently.
type Table[S, R any] struct {
	hosts map[string]entry[S, R]
}

// New builds a table. Two sites with one host, or two routes of a site with one path, are errors.
func New[S, R any](sites []Site[S, R]) (*Table[S, R], error) {
	table := &Table[S, R]{hosts: map[string]entry[S, R]{}}
	for i := range sites {
		site := &sites[i]
		for _, host := range site.Hosts {
			if err := table.add(host, entry[S, R]{site: site}); err != nil {
				return nil, err
			}
		}
		for _, host := range site.RedirectFrom {
			if err := table.add(host, entry[S, R]{site: site, redirect: true}); err != nil {
				return nil, err
			}
		}
		site.routes = make(map[string]*Route[R], len(site.Routes))
		for j := range site.Routes {
			key := Key(site.Routes[j].Path)
			if _, double := site.routes[key]; double {
				return nil, fmt.Errorf("two routes for %s", site.Routes[j].Path)
			}
			site.routes[key] = &site.Routes[j]
			site.longest = max(site.longest, len(key))
		}
	}
	return table, nil
}

func (t *Table[S, R]) add(host string, e entry[S, R]) error {
	if _, double := t.hosts[host]; double {
		return fmt.Errorf("two sites for %s", host)
	}
	t.hosts[host] = e
	return nil
}

// Key is what makes two route paths the same.
func Key(path string) string { return strings.TrimRight(path, "/") }

// Site finds the site of a host in CleanHost's form: the exact name first, then its wildcard, then AnyHost. redirect says
// that the site wants to be called by its first host instead.
func (t *Table[S, R]) Site(host string) (site *Site[S, R], redirect, ok bool) {
	found, ok := t.hosts[host]
	if !ok {
		if dot := strings.IndexByte(host, '.'); dot > 0 {
			found, ok = t.hosts["*"+host[dot:]]
		}
	}
	if !ok {
		found, ok = t.hosts[AnyHost]
	}
	return found.site, found.redirect, ok
}

// Route finds the route with the longest path that holds path, which must be in Normalize's form.
func (s *Site[S, R]) Route(path string) (*Route[R], bool) {
	for {
		if len(path) <= s.longest {
			if route, ok := s.routes[path]; ok {
				return route, true
			}
		}
		if path == "" {
			return nil, false
		}
		// A prefix that can match ends before a slash, at most one byte behind the longest route.
		path = path[:max(strings.LastIndexByte(path[:min(len(path), s.longest+1)], '/'), 0)]
	}
}
