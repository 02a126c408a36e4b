//go:build !unix

package socket

type poll struct{}

func (p *poll) init() {}

// HungUp cannot be asked on this system: that the other end is gone shows when it is written to.
func (c *Conn) HungUp() bool { return false }

// Quiet cannot be asked on this system.
func (c *Conn) Quiet() bool { return true }
