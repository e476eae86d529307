// Command sbidca is the attestation CA of a device provider: it certifies the
// attestation keys of TPMs that are in the provider's register, and answers
// step-ca's webhook.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"sbid/cmd/internal/version"
)

type commandLine struct {
	Run     runCmd           `cmd:"" default:"withargs" help:"Serve until stopped. This is the default."`
	Token   tokenCmd         `cmd:"" help:"Draw a one-time token: for the operator the token, for the register its hash."`
	Version kong.VersionFlag `help:"Say which version this is."`
}

const description = `An attestation CA for providers of SBI devices.

Devices ask it over HTTPS for the certificates of their TPMs' attestation keys (POST /attest, POST /secret); ` +
	`step-ca asks it which device may have a certificate (POST /webhook).`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sbidca:", err)
		os.Exit(1)
	}
}

// errHelp ends run after --help or --version.
var errHelp = errors.New("help shown")

// console is where a command writes to.
type console struct{ out, err io.Writer }

// run is the program. It returns when ctx ends and everything it started has
// stopped.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var commands commandLine
	parser, err := kong.New(&commands,
		kong.Name("sbidca"),
		kong.Description(description),
		kong.Writers(stdout, stderr),
		kong.Vars{"version": "sbidca " + version.String()},
		kong.Exit(func(int) { panic(errHelp) }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(&console{stdout, stderr}),
	)
	if err != nil {
		return err
	}
	defer func() {
		if r := recover(); r != nil {
			if r != any(errHelp) {
				panic(r)
			}
			err = nil
		}
	}()
	command, err := parser.Parse(args)
	if err != nil {
		return fmt.Errorf("%w (sbidca --help lists the flags)", err)
	}
	return command.Run()
}
