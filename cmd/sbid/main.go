// Command sbid is the edge biometric device service: with "run" it serves the
// scanners of this machine through MOSIP's Secure Biometric Interface. Its other
// commands are clients, for any such service on this machine.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"sbid/cmd/internal/version"
	"sbid/cmd/sbid/internal/config"
)

type commandLine struct {
	Run         runCmd           `cmd:"" help:"Serve the scanners of this machine."`
	Devices     devicesCmd       `cmd:"" help:"List the devices of every SBI service on this machine."`
	Capture     captureCmd       `cmd:"" help:"Capture for registration."`
	AuthCapture authCaptureCmd   `cmd:"" help:"Capture for authentication."`
	Stream      streamCmd        `cmd:"" help:"Save a device's preview."`
	Verify      verifyCmd        `cmd:"" help:"Judge CBEFF files, SBI answers, tokens, ISO records and evidence."`
	Doctor      doctorCmd        `cmd:"" help:"Say what is there, what is wrong, and what to do."`
	Provision   provisionCmd     `cmd:"" help:"Get keys and certificates for the devices of this machine."`
	Rotate      rotateCmd        `cmd:"" help:"Replace the keys of devices."`
	Attest      attestCmd        `cmd:"" help:"Prove what this machine is and which keys its TPM holds."`
	Audit       auditCmd         `cmd:"" help:"Check or export the audit log."`
	Version     kong.VersionFlag `help:"Say which version this is."`
}

const description = `A MOSIP SBI device service, and a client of any such service on this machine.

Exit codes: 0 done. 1 something failed that is not listed here. 2 the command was not used as its help says. ` +
	`3 no SBI service, or no such device, was found. 4 the device answered with an SBI error. 5 something did not verify.`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], newConsole(os.Stdout, os.Stderr))
	stop()
	os.Exit(code)
}

// run is the program; it returns the exit code. Commands may ask for the
// context and the console in their Run methods.
func run(ctx context.Context, args []string, c *console) (code int) {
	var commands commandLine
	parser, err := kong.New(&commands,
		kong.Name("sbid"),
		kong.Description(description),
		kong.Writers(c.out, c.err),
		kong.Vars{"version": "sbid " + version.String(), "config": config.Path()},
		kong.UsageOnError(),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(c),
	)
	if err != nil {
		return c.fail(err)
	}
	defer func() { // --help and --version
		if r := recover(); r != nil {
			e, ok := r.(exit)
			if !ok {
				panic(r)
			}
			code = int(e)
		}
	}()
	command, err := parser.Parse(args)
	if err != nil {
		return c.fail(usageError(err))
	}
	if err := command.Run(); err != nil {
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
			err = errors.New("stopped")
		}
		return c.fail(err)
	}
	return exitDone
}

// exit unwinds run with an exit code.
type exit int
