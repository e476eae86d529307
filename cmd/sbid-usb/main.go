// Sbid-usb is the program in which sbid lets the drivers run that need libusb.
// It is started by sbid, speaks the protocol of package remote on its standard
// input and output, and is of no use to people.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"sbid/driver/all/usb"
	"sbid/driver/remote"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbid-usb:", err)
		os.Exit(1)
	}
}

// run serves the daemon until it hangs up.
func run(in io.Reader, out io.Writer) error {
	drivers, err := usb.Drivers()
	if err != nil {
		return err
	}
	return remote.Serve(context.Background(), drivers, struct {
		io.Reader
		io.Writer
	}{in, out})
}
