// Command sbisim is the device service with virtual scanners: a real SBI device
// for CI, demonstrations and development, with no hardware. Same wire, same
// records, same signatures as sbid; only what is on the scanners is made up.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/alecthomas/kong"

	"sbid/cmd/internal/daemon"
	"sbid/cmd/internal/version"
)

type commandLine struct {
	Run     flags            `cmd:"" default:"withargs" help:"Serve virtual scanners through SBI: what happens without a command. Its flags are in sbisim run --help."`
	USBIP   usbipCmd         `cmd:"" name:"usbip" help:"Emulate real scanners on USB, to try real drivers with."`
	Serial  serialCmd        `cmd:"" help:"Emulate a real scanner on a serial line, to try real drivers with."`
	Version kong.VersionFlag `help:"Say which version this is."`
}

// flags are those of the service.
type flags struct {
	daemon.Options
	StateDir              string `placeholder:"DIR" help:"Where keys, certificates and serial numbers are kept. Default: sbisim in the user's state directory."`
	Seed                  uint64 `default:"1" help:"Which virtual person is on the scanners."`
	Organisation          string `default:"sbid developer" help:"Organisation in the device certificates."`
	EncryptionCertificate string `placeholder:"FILE" type:"existingfile" help:"Encrypt auth captures for this certificate, such as the one that the compliance toolkit hands out, instead of the developer trust set's."`
	TPM                   string `name:"tpm" placeholder:"DEVICE" help:"Keep the signing keys in this TPM 2.0 instead of files: /dev/tpmrm0, or unix:PATH or tcp:HOST:PORT of a software TPM."`
	Frames                string `placeholder:"DIR" type:"existingdir" help:"Play these pictures instead of the virtual person: left-index.pgm, left-iris.png, face.jpg, left-slap.png ..."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sbisim:", err)
		os.Exit(1)
	}
}

// errHelp ends run after --help or --version.
var errHelp = errors.New("help shown")

// run is the program. It returns when ctx ends and everything it started has
// stopped.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var c commandLine
	parser, err := kong.New(&c,
		kong.Name("sbisim"),
		kong.Description("A MOSIP SBI device service with virtual scanners, for CI and development. Never for enrolment."),
		kong.Writers(stdout, stderr),
		kong.Vars{"version": "sbisim " + version.String()},
		kong.Exit(func(int) { panic(errHelp) }),
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
	parsed, err := parser.Parse(args)
	if err != nil {
		return fmt.Errorf("%w (sbisim --help lists the commands, sbisim COMMAND --help the flags)", err)
	}
	switch parsed.Command() {
	case "usbip":
		return c.USBIP.run(ctx, stdout)
	case "serial":
		return c.Serial.run(ctx, stdout)
	}
	f := c.Run
	if f.StateDir == "" {
		if f.StateDir, err = defaultStateDir(); err != nil {
			return err
		}
	}
	return simulate(ctx, f, stdout, stderr)
}

func defaultStateDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "sbisim"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no home directory for the state: %w; name one with --state-dir", err)
	}
	return filepath.Join(home, ".local", "state", "sbisim"), nil
}
