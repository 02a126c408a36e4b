package systemd

import (
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is the time since the machine started, by the clock that systemd compares it with.
func monotonic() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return time.Duration(now.Nano())
}
