//go:build !unix

package main

import "os"

func notifyUpgrades(chan<- os.Signal) {} // there is no such signal

func keepFromChildren(int) {}
