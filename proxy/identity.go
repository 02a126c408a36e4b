package proxy

import (
	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/proxy/guard"
	"github.com/portico-web/portico/proxy/message"
)

// identityField is a field by which an upstream learns what the edge found out about the client. It is put into the head when what the
// client wrote is gone from it.
type identityField struct{ name, value string }

// tell notes a field for the upstream. A value that cannot stand in a field is left out.
func (x *exchange) tell(name, value string) {
	if guard.FieldValue(value) {
		x.identity = append(x.identity, identityField{name, value})
	}
}

// assertedBy lists what some route tells its upstream. Clients may write that on no route: an upstream may serve several.
// Authorization is for clients to write wherever the edge does not.
func assertedBy(cfg *config.Config) guard.Asserted {
	var names []string
	add := func(policies *config.Policies) {
		for _, name := range policies.Asserted() {
			if message.Known(name) == message.Other {
				names = append(names, name)
			}
		}
	}
	for i := range cfg.Sites {
		add(&cfg.Sites[i].Policies)
		for j := range cfg.Sites[i].Routes {
			add(&cfg.Sites[i].Routes[j].Policies)
		}
	}
	return guard.Assert(names...)
}
