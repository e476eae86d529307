//go:build hardware

package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Twins that are attached are there for the kernel as long as sbisim runs.
func TestHardwareTwinsAreAttached(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"usbip", "--attach", "--device", "uru4500,nb1010,camera"}, in, io.Discard)
		in.CloseWithError(err)
		ended <- err
	}()
	var sockets []string
	for _, id := range []string{"05ba:000a", "298d:1010", "1209:0003"} {
		line := make([]byte, 200) // sbisim writes a line at a time
		n, err := out.Read(line)
		if err != nil {
			t.Fatal(err)
		}
		name, socket, found := strings.Cut(strings.TrimSpace(string(line[:n])), ": plugged in at usb:")
		if !found || !strings.Contains(name, id) {
			t.Fatalf("line %q, want one about %s", line[:n], id)
		}
		awaitOnSocket(t, socket, id)
		sockets = append(sockets, socket)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, socket := range sockets {
		awaitOnSocket(t, socket, "")
	}
}

// awaitOnSocket waits until the kernel shows a device of that vendor and product,
// or none.
func awaitOnSocket(t *testing.T, socket, id string) {
	t.Helper()
	place := filepath.Join("/sys/bus/usb/devices", socket)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		vendor, err := os.ReadFile(filepath.Join(place, "idVendor"))
		product, _ := os.ReadFile(filepath.Join(place, "idProduct"))
		there := ""
		if err == nil {
			there = strings.TrimSpace(string(vendor)) + ":" + strings.TrimSpace(string(product))
		}
		if there == id {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("on %s is %q, want %q", socket, there, id)
		}
	}
}
