//go:build !unix

package socket

type question struct{}

func (q *question) init() {}

// Ask writes p on a connection that is Quiet. When it is not, nothing is written, and it can only be closed.
func (c *Conn) Ask(p []byte) (written int, quiet bool, err error) {
	if !c.Quiet() {
		return 0, false, nil
	}
	written, err = c.Write(p)
	return written, true, err
}
