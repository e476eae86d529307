package usb

import (
	"errors"
	"image"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"sbid/simulator/usbip"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plug returns the host that a twin is plugged into.
func plug(t *testing.T, start func(Socket) (*Twin, error)) (*usbip.Host, *Twin) {
	t.Helper()
	var host *usbip.Host
	twin, err := start(func(d usbip.Device) (*usbip.Cable, error) {
		h, cable := usbip.Connect(d)
		host = h
		return cable, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(twin.Close)
	return host, twin
}

func reader(o URU4000) func(Socket) (*Twin, error) {
	return func(s Socket) (*Twin, error) { return StartURU4000(s, o) }
}

// A recording begins with the byte 86 where the last pixel before was 4.
func TestScramblingIsThatOfTheRecording(t *testing.T) {
	wire, _ := uruScramble(make([]byte, 4), 4, 0x544409D6)
	if want := [4]byte{0x86, 0x17, 0xA0, 0x41}; [4]byte(wire) != want {
		t.Errorf("% X, want % X", wire, want)
	}
	for _, k := range []uint32{1, 0xDEADBEEF, 0x544409D6} {
		if got := uruBack(uruStep(k)); got != k {
			t.Errorf("a step from %08X and back is %08X", k, got)
		}
	}
}

// A reader refuses what no driver should ask it.
func TestReaderRefuses(t *testing.T) {
	host, _ := plug(t, reader(URU4000{V2: true}))
	for name, ask := range map[string]func() (int, error){
		"another request":           func() (int, error) { return host.Control(t.Context(), 0xC0, 5, 7, 0, make([]byte, 1)) },
		"an index":                  func() (int, error) { return host.Control(t.Context(), 0xC0, 4, 7, 1, make([]byte, 1)) },
		"an unknown register":       func() (int, error) { return host.Control(t.Context(), 0xC0, 4, 0x1234, 0, make([]byte, 1)) },
		"a key before its seed":     func() (int, error) { return host.Control(t.Context(), 0xC0, 4, 0x34, 0, make([]byte, 4)) },
		"a response unasked":        func() (int, error) { return host.Control(t.Context(), 0x40, 4, 0x2000, 0, make([]byte, 16)) },
		"a write to the bulk input": func() (int, error) { return host.Transfer(t.Context(), 0x02, make([]byte, 1)) },
	} {
		if _, err := ask(); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Without the handshake a v2 stays asleep.
func TestReaderSleepsWithoutHandshake(t *testing.T) {
	host, _ := plug(t, reader(URU4000{V2: true}))
	status := []byte{0}
	for _, v := range []byte{0x83, 0x03} {
		if _, err := host.Control(t.Context(), 0x40, 4, 7, 0, []byte{v}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := host.Control(t.Context(), 0xC0, 4, 7, 0, status); err != nil || status[0] != 0x83 {
		t.Errorf("status %02X, %v; want 83", status[0], err)
	}
}

// Fingers are told of in the modes that ask for them.
func TestReaderTellsOfFingers(t *testing.T) {
	host, twin := plug(t, reader(URU4000{}))
	mode := func(m byte) {
		t.Helper()
		if _, err := host.Control(t.Context(), 0x40, 4, 0x4E, 0, []byte{m}); err != nil {
			t.Fatal(err)
		}
	}
	b := make([]byte, 64)
	event := func(hi, lo byte) {
		t.Helper()
		if n, err := host.Transfer(t.Context(), 0x81, b); n != 64 || err != nil || b[0] != hi || b[1] != lo {
			t.Errorf("%d bytes % X, %v; want %02X%02X", n, b[:2], err, hi, lo)
		}
	}
	twin.Show(image.NewGray(image.Rect(0, 0, 10, 10))) // nobody asked
	mode(0x12)
	twin.Show(nil)
	event(2, 0)
	mode(0x10)
	twin.Show(image.NewGray(image.Rect(0, 0, 10, 10)))
	event(1, 1)
}
