package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portico-web/portico/proxy/control"
	"github.com/portico-web/portico/proxy/deploy"
	"github.com/portico-web/portico/proxy/forward"
)

// deploysFile is where, in the data folder, it is kept what operators decided about upstreams.
const deploysFile = "deploys.json"

// deploys is what operators decided about the upstreams, and what of it is under way.
type deploys struct {
	file    *deploy.File
	ctx     context.Context // ends when the edge is to stop
	end     context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	claims map[string]string // by upstream: who deploys it, and since when
	busy   int               // how much is under way
	frozen bool              // another process reads the file, to take this one's place
	ended  bool
}

func openDeploys(ctx context.Context, folder string) (*deploys, error) {
	file, err := deploy.Open(filepath.Join(folder, deploysFile))
	if err != nil {
		return nil, err
	}
	d := &deploys{file: file, claims: map[string]string{}}
	d.ctx, d.end = context.WithCancel(ctx)
	return d, nil
}

// stop ends what is under way, and waits for it. What is not yet switched is not any more.
func (d *deploys) stop() {
	d.mu.Lock()
	d.ended = true
	d.mu.Unlock()
	d.end()
	d.running.Wait()
}

// begin is to be called before anything is changed, and done afterwards.
func (d *deploys) begin() (done func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.ended:
		return nil, errors.New("the edge stops")
	case d.frozen:
		return nil, errors.New("another process is about to take this edge's place: try again in a moment")
	}
	d.busy++
	d.running.Add(1)
	return func() {
		d.mu.Lock()
		d.busy--
		d.mu.Unlock()
		d.running.Done()
	}, nil
}

// freeze lets nothing change until thaw is called: another process is about to read the file. It fails when a change is
// under way.
func (d *deploys) freeze() (thaw func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy > 0 {
		return nil, errors.New("a deploy is under way")
	}
	d.frozen = true
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.frozen = false
	}, nil
}

// claim keeps everybody else from deploying an upstream until release is called. claimed also ends when the edge stops.
func (d *deploys) claim(ctx context.Context, name, by, what string) (claimed context.Context, release func(), err error) {
	done, err := d.begin()
	if err != nil {
		return nil, nil, err
	}
	d.mu.Lock()
	holder := d.claims[name]
	if holder == "" {
		d.claims[name] = fmt.Sprintf("%s (%s, since %s)", by, what, time.Now().UTC().Format(time.RFC3339))
	}
	d.mu.Unlock()
	if holder != "" {
		done()
		return nil, nil, fmt.Errorf("%s is claimed by %s: wait until that has ended", name, holder)
	}
	claimed, cancel := context.WithCancel(ctx)
	forget := context.AfterFunc(d.ctx, cancel)
	return claimed, func() {
		forget()
		cancel()
		d.mu.Lock()
		delete(d.claims, name)
		d.mu.Unlock()
		done()
	}, nil
}

func (d *deploys) claimant(name string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.claims[name]
}

// deployedPatience bounds how long the start waits for the targets of before, whose answers it only logs.
const deployedPatience = 10 * time.Second

// probeDeployed asks the targets that were deployed before the edge started whether they are still there, before it serves:
// the file of deploys tells of the past.
func (p *Proxy) probeDeployed(ctx context.Context, s *state) {
	waiting, cancel := context.WithTimeout(ctx, deployedPatience)
	defer cancel()
	var asking sync.WaitGroup
	for name, service := range s.services {
		if len(p.deploys.file.Record(name).Live) == 0 {
			continue
		}
		settings := service.now.Load().forwarder.Pool().Settings()
		for _, target := range settings.Targets {
			asking.Go(func() {
				if err := settings.Check(waiting, target); err != nil && ctx.Err() == nil {
					p.log.Warn("a deployed target does not pass its probe", "upstream", name, "target", target, "error", err)
				}
			})
		}
	}
	asking.Wait()
	p.logDeployed(s)
}

// logDeployed tells which upstreams are not served by the targets that the configuration names.
func (p *Proxy) logDeployed(s *state) {
	for name, service := range s.services {
		if configured := s.config.Upstreams[name].Targets; !slices.Equal(configured, service.targets()) {
			p.log.Info("deployed targets serve, not those of the configuration", "upstream", name, "targets", service.targets(), "configured", configured)
		}
	}
}

// History is what was done to an upstream, the newest last.
func (p *Proxy) History(name string) ([]deploy.Event, error) {
	if _, err := p.service(name); err != nil {
		return nil, err
	}
	return p.deploys.file.Record(name).History, nil
}

func (p *Proxy) service(name string) (*service, error) {
	services := p.current.Load().services
	if found := services[name]; found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("%w %q: proxy.yaml has %s", control.ErrUnknown, name, strings.Join(slices.Sorted(maps.Keys(services)), ", "))
}

func (p *Proxy) upstreamStatus(s *state, name string) control.Upstream {
	record := p.deploys.file.Record(name)
	targets, waiting := s.services[name].targets(), int64(0)
	if pause := s.services[name].now.Load().pause; pause != nil {
		waiting = pause.waiting.Load()
	}
	return control.Upstream{
		Name: name, Targets: targets, Deployed: len(record.Live) > 0,
		Differs: !slices.Equal(targets, s.config.Upstreams[name].Targets), Previous: record.Previous,
		Busy: p.deploys.claimant(name), Last: record.Last(), Canary: record.Canary,
		Pause: record.Pause, Waiting: waiting, Maintenance: record.Maintenance,
	}
}

// decide changes the record of an upstream, and then what its service does.
func (p *Proxy) decide(name string, event deploy.Event, record func(*deploy.Record), carryOut func(*service) error) error {
	if _, err := p.service(name); err != nil {
		return err
	}
	done, err := p.deploys.begin()
	if err != nil {
		return err
	}
	defer done()
	p.reloading.Lock()
	defer p.reloading.Unlock()
	service, err := p.service(name) // a reload may have taken it away
	if err != nil {
		return err
	}
	event.Time = time.Now().UTC()
	err = p.deploys.file.Update(name, func(r *deploy.Record) {
		record(r)
		r.Note(event)
	})
	if err == nil {
		err = carryOut(service)
	}
	if err != nil {
		p.log.Error("a decision of the operator's is not carried out", "upstream", name, "action", event.Action, "by", event.By, "error", err)
		return err
	}
	p.log.Info("operator decided", "upstream", name, "action", event.Action, "by", event.By)
	return nil
}

// change is a change of the targets of an upstream, on its way.
type change struct {
	proxy   *Proxy
	name    string
	event   deploy.Event // Targets is empty when those of the configuration are to serve
	back    bool         // Targets are those before the last change
	promote bool         // Targets are the canary's
	prove   bool
	smoke   []string
	timeout time.Duration
	drain   deploy.Drain
	tell    control.Tell
}

// deployTimeout is how long new targets may take to pass their probes when the command does not say.
const deployTimeout = time.Minute

// Deploy implements control.Deploys.
func (p *Proxy) Deploy(ctx context.Context, name, by string, wanted control.Deploy, tell control.Tell) error {
	if err := deploy.CheckTargets(wanted.Targets); err != nil {
		return err
	}
	if err := checkSmoke(wanted.Smoke); err != nil {
		return err
	}
	c := &change{
		proxy: p, name: name, event: deploy.Event{Action: "deploy", By: by, Targets: wanted.Targets},
		prove: true, smoke: wanted.Smoke, timeout: time.Duration(wanted.Timeout), drain: drainOf(wanted.Drain), tell: tell,
	}
	return c.carryOut(ctx)
}

func checkSmoke(paths []string) error {
	for _, path := range paths {
		if !strings.HasPrefix(path, "/") {
			return fmt.Errorf("the smoke path %q does not begin with a slash", path)
		}
	}
	return nil
}

func drainOf(wanted control.Drain) deploy.Drain {
	return deploy.Drain{Within: time.Duration(wanted.Within), Grace: time.Duration(wanted.Grace)}
}

// Rollback implements control.Deploys.
func (p *Proxy) Rollback(ctx context.Context, name, by string, wanted control.Rollback, tell control.Tell) error {
	c := &change{
		proxy: p, name: name, event: deploy.Event{Action: "rollback", By: by}, back: true,
		prove: !wanted.Force, timeout: time.Duration(wanted.Timeout), drain: drainOf(wanted.Drain), tell: tell,
	}
	return c.carryOut(ctx)
}

// carryOut proves the new targets, switches to them, and lets the requests to the old ones come to their end. Until the
// switch, everything is as it was when it fails or ctx ends; afterwards ctx is of no matter.
func (c *change) carryOut(ctx context.Context) error {
	p := c.proxy
	claimed, release, err := c.claim(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := c.choose(p.deploys.file.Record(c.name)); err != nil {
		return err
	}
	log := p.log.With("upstream", c.name, "action", c.event.Action, "by", c.event.By, "targets", c.event.Targets)
	log.Info("deploy begins")
	before, err := c.switchTargets(claimed)
	if err != nil {
		return c.gaveUp(err)
	}
	if before == nil {
		log.Info("deploy changes nothing")
		c.tell(control.Progress{Step: control.StepSwitch, Text: deploy.Names(c.event.From) + " served already: nothing to switch"})
		return nil
	}
	log.Info("deploy switched", "from", c.event.From)
	text := fmt.Sprintf("switched from %s to %s", deploy.Names(c.event.From), deploy.Names(c.event.Targets))
	if c.promote && slices.Equal(c.event.From, c.event.Targets) {
		text = deploy.Names(c.event.From) + " served already: the canary has ended"
	}
	c.tell(control.Progress{Step: control.StepSwitch, Text: text})
	drained := c.drain.Wait(p.deploys.ctx, before)
	log.Info("deploy drained", "from", c.event.From, "requests", drained.Requests, "streams_ended", drained.Streams, "left", drained.Left, "took", drained.Took)
	err = p.deploys.file.Update(c.name, func(r *deploy.Record) { r.Conclude(c.event.Time, drained.String()) })
	if err != nil {
		log.Error("the outcome of a deploy is not recorded", "error", err)
	}
	c.tell(control.Progress{Step: control.StepDrained, Text: drained.String()})
	return nil
}

// claim keeps everybody else from deploying the upstream.
func (c *change) claim(ctx context.Context) (claimed context.Context, release func(), err error) {
	if _, err := c.proxy.service(c.name); err != nil {
		return nil, nil, err
	}
	return c.proxy.deploys.claim(ctx, c.name, c.event.By, c.event.Action)
}

// choose settles which targets are to serve, when the command leaves that to what was done before.
func (c *change) choose(record deploy.Record) error {
	switch {
	case c.promote && record.Canary == nil:
		return fmt.Errorf("%s has no canary", c.name)
	case c.promote:
		c.event.Targets = record.Canary.Targets
	case record.Canary != nil && (c.back || !slices.Equal(c.event.Targets, record.Live)): // to what serves changes nothing
		return fmt.Errorf("%s has a canary: promote it, or end it with --percent 0", c.name)
	case c.back && len(record.Previous) == 0:
		return fmt.Errorf("%s was never deployed: there is nothing to go back to", c.name)
	case c.back:
		c.event.Targets = record.Previous
	}
	return nil
}

// gaveUp tells why nothing was switched.
func (c *change) gaveUp(err error) error {
	if c.proxy.deploys.ctx.Err() != nil {
		err = errors.New("the edge stops: nothing was switched")
	}
	c.proxy.log.Warn("deploy failed, what served before serves on", "upstream", c.name, "action", c.event.Action, "by", c.event.By, "targets", c.event.Targets, "error", err)
	return err
}

// switchTargets proves the new targets and lets them serve. Whose requests are to be drained is returned; nil when the new
// targets are those that serve already, and no canary ends.
func (c *change) switchTargets(ctx context.Context) (before []*forward.Forwarder, err error) {
	p := c.proxy
	if err := c.proveTargets(ctx); err != nil {
		return nil, err
	}
	p.reloading.Lock()
	defer p.reloading.Unlock()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s := p.current.Load()
	service := s.services[c.name]
	if service == nil || p.ended {
		return nil, fmt.Errorf("a reload took the upstream %s away meanwhile", c.name)
	}
	settings := s.upstreamSettings(p, c.name, c.event.Targets)
	c.event.Time, c.event.From = time.Now().UTC(), service.targets()
	same := slices.Equal(settings.Targets, c.event.From)
	var made forwarders
	if !same {
		// The pool is new, so that only what its own probes find from now on counts, not what they found while the targets began.
		if made.live, err = p.openForwarder(nil, settings); err != nil {
			return nil, err
		}
	}
	// The file is what counts: whoever starts after this moment starts with the new targets.
	err = p.deploys.file.Update(c.name, func(r *deploy.Record) {
		r.Live = c.event.Targets
		if !same {
			r.Previous = c.event.From
		}
		if c.promote {
			r.Canary = nil
		}
		if !same || c.promote {
			r.Note(c.event)
		}
	})
	if err != nil {
		made.close()
		return nil, err
	}
	if same && !c.promote {
		return nil, nil
	}
	before = service.replace(made)
	if canary := service.now.Load().canary; c.promote && canary != nil {
		service.change(func(next *serving) { next.canary = nil })
		canary.forwarder.Retire()
		before = append(before, canary.forwarder)
	}
	return service.drainable(before...), nil
}

// proveTargets probes the new targets, and asks for the smoke paths.
func (c *change) proveTargets(ctx context.Context) error {
	s := c.proxy.current.Load()
	if _, known := s.config.Upstreams[c.name]; !known {
		return fmt.Errorf("a reload took the upstream %s away meanwhile", c.name)
	}
	proof := deploy.Proof{
		Settings: s.upstreamSettings(c.proxy, c.name, c.event.Targets), Within: cmp.Or(c.timeout, deployTimeout), Smoke: c.smoke, Host: s.hostOf(c.name),
	}
	if c.prove {
		err := proof.Prove(ctx, func(target string, passed int) {
			c.tell(control.Progress{Step: control.StepProbe, Text: fmt.Sprintf("probing %s: %d/%d", target, passed, deploy.Passes)})
		})
		if err != nil {
			return err
		}
	}
	return proof.SmokeTest(ctx, func(target, path string) {
		c.tell(control.Progress{Step: control.StepSmoke, Text: fmt.Sprintf("%s answers %s well", target, path)})
	})
}

// hostOf is a host whose requests go to an upstream; "" when there is none but by a wildcard.
func (s *state) hostOf(name string) string {
	for _, site := range s.config.Sites {
		for _, route := range site.Routes {
			if route.Upstream != name {
				continue
			}
			for _, host := range site.Hosts {
				if !strings.Contains(host, "*") {
					return host
				}
			}
		}
	}
	return ""
}
