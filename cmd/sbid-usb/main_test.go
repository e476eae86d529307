package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sbid/driver"
	"sbid/driver/remote"
)

// The program as it ships, asked as the daemon asks it: on a machine without
// readers it finds none, and without libusb it says so.
func TestProgram(t *testing.T) {
	program := filepath.Join(t.TempDir(), "sbid-usb")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		t.Fatal(err)
	}
	h := remote.New(program, "--uru4000-dpi=508", "--nb1010-turn=90")
	defer h.Close()
	for _, id := range []string{"uru4000", "nb1010"} {
		if _, err := h.Driver(id).Probe(t.Context()); err != nil && !errors.Is(err, driver.ErrUnavailable) {
			t.Errorf("%s: %v", id, err)
		}
		if _, err := h.Driver(id).Open(t.Context(), "usb:99-99"); !errors.Is(err, driver.ErrRemoved) && !errors.Is(err, driver.ErrUnavailable) {
			t.Errorf("%s: open of nothing: %v", id, err)
		}
	}
}

func TestRunEndsWithItsInput(t *testing.T) {
	var out bytes.Buffer
	if err := run(nil, bytes.NewReader(nil), &out); err != nil || out.Len() == 0 {
		t.Errorf("%d bytes of hello, %v", out.Len(), err)
	}
	if err := run(nil, bytes.NewReader([]byte("GET / HTTP/1.1\r\n\r\n")), &out); err == nil {
		t.Error("nonsense was taken")
	}
	if err := run([]string{"--uru4000-turn=45"}, bytes.NewReader(nil), &out); err == nil {
		t.Error("half a right angle was taken")
	}
}
