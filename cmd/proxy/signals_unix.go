//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

func notifyUpgrades(upgrades chan<- os.Signal) { signal.Notify(upgrades, syscall.SIGUSR2) }

// keepFromChildren keeps a descriptor from the processes that this one starts.
func keepFromChildren(descriptor int) { syscall.CloseOnExec(descriptor) }
