// Sbid-usb is the program in which sbid lets the drivers run that need libusb.
// It is started by sbid, speaks the protocol of package remote on its standard
// input and output, and is of no use to people.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"sbid/driver/all/usb"
	"sbid/driver/remote"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbid-usb:", err)
		os.Exit(1)
	}
}

// run serves the daemon until it hangs up.
func run(args []string, in io.Reader, out io.Writer) error {
	var c usb.Config
	flags := flag.NewFlagSet("sbid-usb", flag.ContinueOnError)
	flags.IntVar(&c.URU4000.DPI, "uru4000-dpi", 0, "sampling rate of U.are.U readers in pixels per inch")
	flags.IntVar(&c.URU4000.Turn, "uru4000-turn", 0, "degrees by which their pictures are turned clockwise")
	flags.IntVar(&c.NB1010.DPI, "nb1010-dpi", 0, "sampling rate of NB-1010 readers in pixels per inch")
	flags.IntVar(&c.NB1010.Turn, "nb1010-turn", 0, "degrees by which their pictures are turned clockwise")
	if err := flags.Parse(args); err != nil {
		return err
	}
	drivers, err := usb.Drivers(c)
	if err != nil {
		return err
	}
	return remote.Serve(context.Background(), drivers, struct {
		io.Reader
		io.Writer
	}{in, out})
}
