// Command minipush is the one program of minipush: the daemon, its simulator, its demo, and the commands that people use.
//
// The commands are thin. They read settings, open the database (a private one where none is named), and call the same
// dispatch methods as the HTTP API, so that a rule holds whoever asks. serve.go is the composition root.
//
// What a command changes is in the audit log, in the transaction of the change; auditActions in audit.go says under which action.
//
// Every command exits 0 when it did what was asked, 1 when it did not, and 2 when it was asked in a wrong way.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // the image and bare machines have no zone files
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from here on a second signal kills
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}

// run executes one command line and returns the exit code. It reads nothing of the process but what it is given.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) int {
	c := &cli{stdin: stdin, stdout: stdout, stderr: stderr, environ: environ}
	root := c.rootCommand() //nolint:contextcheck // cobra hands each command its context, by ExecuteContext below
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	c.report(err)
	return c.exitCode(err)
}
