package proxy

import (
	"net/http"
	"net/netip"

	"github.com/portico-web/portico/proxy/guard"
)

// addresses is who may pass by the client's address.
type addresses struct{ allow, deny []netip.Prefix }

// admit is the policy: who is denied does not pass, nor, where some are allowed, anybody else.
func (a *addresses) admit(x *exchange) bool {
	if !guard.Contains(a.deny, x.client) && (len(a.allow) == 0 || guard.Contains(a.allow, x.client)) {
		return true
	}
	x.refused(policyAddress, "client address")
	x.fail(http.StatusForbidden, "You do not have permission to perform this action.")
	return false
}
