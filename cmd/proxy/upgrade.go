package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/portico-web/portico/proxy"
	"github.com/portico-web/portico/proxy/control"
)

type upgradeCommand struct{ adminFlag }

func (c upgradeCommand) Run(ctx context.Context) error {
	var upgraded control.Upgraded
	if err := c.call(ctx, http.MethodPost, "/upgrade", &upgraded); err != nil {
		return err
	}
	fmt.Printf("upgraded: process %d of version %s serves\n", upgraded.PID, upgraded.Version)
	return nil
}

const (
	// reportVariable names the descriptor on which a process that an edge started tells it why it ends.
	reportVariable = "PORTICO_REPORT_FD"
	mostReport     = 4 << 10
)

// startSuccessor starts the program anew, as it is installed now, with the arguments and the environment of this process.
func startSuccessor() (*proxy.Started, error) {
	if os.Getpid() == 1 {
		return nil, errors.New("this edge is the first process of a container, which ends with it: start another container that shares the folder of listen.handover")
	}
	// By the name it was called by, since the file that this process was made of may be gone or be an old version's.
	path, err := exec.LookPath(os.Args[0])
	if err != nil {
		if path, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("the program is not found: %w", err)
		}
	}
	reads, writes, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer writes.Close()
	command := exec.Command(path, os.Args[1:]...) //nolint:gosec,noctx // this very program, which is to outlive this process
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.ExtraFiles = []*os.File{writes} // number 3
	command.Env = append(os.Environ(), reportVariable+"=3")
	if err := command.Start(); err != nil {
		_ = reads.Close()
		return nil, fmt.Errorf("the program cannot be started: %w", err)
	}
	exited := make(chan error, 1)
	go func() {
		defer reads.Close()
		report, _ := io.ReadAll(io.LimitReader(reads, mostReport))
		err := cmp.Or(command.Wait(), errors.New("it ended"))
		if reason := strings.TrimSpace(string(report)); reason != "" {
			err = errors.New(reason)
		}
		exited <- err
	}()
	return &proxy.Started{Exited: exited, Kill: func() { _ = command.Process.Kill() }}, nil
}

// reportToPredecessor returns what tells the edge that started this process, if one did, why it ends.
func reportToPredecessor() func(error) {
	number, err := strconv.Atoi(os.Getenv(reportVariable))
	_ = os.Unsetenv(reportVariable) // it is not for processes that this one starts
	if err != nil || number < 3 {
		return func(error) {}
	}
	keepFromChildren(number)
	file := os.NewFile(uintptr(number), "report")
	return func(err error) {
		if err != nil {
			_, _ = io.WriteString(file, err.Error()) // the edge may have ended long ago
		}
		_ = file.Close()
	}
}
