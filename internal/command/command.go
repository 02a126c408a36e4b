// Package command runs the command line of a program: it parses, hands signals on as a context, and tells what went wrong.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// Main runs the command that os.Args name and ends the process: with status 0, or 1 after one line on stderr. cli is a
// pointer to a struct with kong's tags, whose commands' Run methods may take a context.Context that ends on SIGTERM and
// SIGINT. A second signal kills.
func Main(name, description, version string, cli any) {
	os.Exit(run(name, description, version, cli, os.Args[1:]))
}

func run(name, description, version string, cli any, args []string) int {
	parser, err := kong.New(cli, kong.Name(name), kong.Description(description), kong.Vars{"version": version})
	if err != nil {
		panic(err) // the tags of cli are wrong: no input can cause this
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		if missing, ok := errors.AsType[*kong.ParseError](err); ok && len(args) == 0 {
			_ = missing.Context.PrintUsage(false)
		}
		fmt.Fprintf(os.Stderr, "%s: %v (`%s --help` explains)\n", name, err, name)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err := parsed.Run(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", "; "))
		return 1
	}
	return 0
}
