// Command m3o sells API calls from one binary. Without a command it serves.
//
// It is flags and sentences only: what runs is in internal/app.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

// cli is the command line.
type cli struct {
	Serve    serveCmd    `cmd:"" default:"withargs" help:"Run the system (the default)."`
	Migrate  migrateCmd  `cmd:"" help:"Bring the database up to date and stop."`
	Services servicesCmd `cmd:"" help:"List the services with their functions, calls and events."`
	Call     callCmd     `cmd:"" help:"Call an API on sale."`
	Publish  publishCmd  `cmd:"" help:"Put an HTTP API on sale by its OpenAPI document."`
	Shop     shopCmd     `cmd:"" help:"Help with the shop."`
	Backup   backupCmd   `cmd:"" help:"Write all data to a file, also while m3o runs."`
	Restore  restoreCmd  `cmd:"" help:"Make a database of the file of a backup, on either engine."`
	Doctor   doctorCmd   `cmd:"" help:"Examine a deployment and say how to mend what is wrong."`
	Health   healthCmd   `cmd:"" help:"Ask the m3o of this machine whether it is ready; for probes."`
	OpenAPI  openAPICmd  `cmd:"" name:"openapi" help:"Print the OpenAPI document of everything compiled in."`
	New      newCmd      `cmd:"" help:"Begin a service: its folder, service.yaml and a test that passes."`
	Generate generateCmd `cmd:"" help:"Generate code from service.yaml."`
	Validate validateCmd `cmd:"" help:"Check service.yaml files."`
	Schema   schemaCmd   `cmd:"" help:"Print the JSON Schema of service.yaml, for editors."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
}

// The exit codes, beside 0.
const (
	exitFailed = 1 // it did not work
	exitUsage  = 2 // the command line is wrong
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main with its exit code as a result.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ended := false
	parser, err := kong.New(&cli{},
		kong.Name("m3o"), kong.Description("APIs, paid by the call. Each flag of serve has a variable too, such as M3O_LISTEN."),
		kong.Writers(stdout, stderr), kong.Exit(func(int) { ended = true }), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(streams{stdout, stderr}),
	)
	if err != nil {
		return fail(stderr, err, exitFailed)
	}
	command, err := parser.Parse(args)
	switch {
	case ended: // by --help
		return 0
	case err != nil:
		return fail(stderr, fmt.Errorf("%w (m3o --help shows what there is)", err), exitUsage)
	}
	if err := command.Run(); err != nil {
		return fail(stderr, err, exitFailed)
	}
	return 0
}

// streams are where a command writes.
type streams struct{ out, err io.Writer }

// errSaid is a failure that the command has told already.
var errSaid = errors.New("said")

func fail(stderr io.Writer, err error, code int) int {
	if !errors.Is(err, errSaid) {
		_, _ = fmt.Fprintf(stderr, "m3o: %v\n", err)
	}
	return code
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(s streams) error {
	_, err := fmt.Fprintln(s.out, "m3o", version())
	return err
}

// release is the version that a build without the history was told by the linker.
var release string

// version is the release or what the Go tool has stamped: a tag, or the commit.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}
