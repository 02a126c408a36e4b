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
// exactly one more label, or AnyHost.
type Site[V any] struct {
	Hosts        []string
	RedirectFrom []string
	Routes       []Route[V]

	routes  map[string]*Route[V]
	longest int
}

// Name is the site's first host, under which it is known in logs and metrics.
func (s *Site[V]) Name() string { return s.Hosts[0] }

type entry[V any] struct {
	site     *Site[V]
	redirect bool
}

// Table holds sites for look-ups. It is never changed after New and may be used concurrently.
type Table[V any] struct {
	hosts map[string]entry[V]
}

// New builds a table. Two sites with one host, or two routes of a site with one path, are errors.
func New[V any](sites []Site[V]) (*Table[V], error) {
	table := &Table[V]{hosts: map[string]entry[V]{}}
	for i := range sites {
		site := &sites[i]
		for _, host := range site.Hosts {
			if err := table.add(host, entry[V]{site: site}); err != nil {
				return nil, err
			}
		}
		for _, host := range site.RedirectFrom {
			if err := table.add(host, entry[V]{site: site, redirect: true}); err != nil {
				return nil, err
			}
		}
		site.routes = make(map[string]*Route[V], len(site.Routes))
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

func (t *Table[V]) add(host string, e entry[V]) error {
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
func (t *Table[V]) Site(host string) (site *Site[V], redirect, ok bool) {
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
func (s *Site[V]) Route(path string) (*Route[V], bool) {
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
