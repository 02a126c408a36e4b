package control

import "time"

// Certificate is what is known of the certificate for one name.
type Certificate struct {
	Name   string    `json:"name"`
	Source string    `json:"source"`           // acme, local or files
	Issuer string    `json:"issuer,omitempty"` // who signed it
	Expiry time.Time `json:"expiry,omitzero"`  // zero: there is none yet
	// Error is why the last attempt to get or renew it failed, at the time Failed; "" when it did not.
	Error  string    `json:"error,omitempty"`
	Failed time.Time `json:"failed,omitzero"`
}
