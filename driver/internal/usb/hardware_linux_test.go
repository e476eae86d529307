//go:build hardware

package usb

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"sbid/driver"
	"sbid/simulator/usbip"
)

var (
	probeID    = ID{0x1209, 0x0001}
	probeClaim = Claim{IDs: []ID{probeID}, Class: 0xFF, Subclass: 0xFF, Protocol: 0xFF, Endpoints: []byte{0x81, 0x82, 0x02}}
)

// A prober does on each call what a test tells it.
type prober struct {
	descriptors usbip.Descriptors
	control     func(ctx context.Context) ([]byte, error)
	in          func(ctx context.Context, size int) ([]byte, error)
}

func (p *prober) Descriptors() usbip.Descriptors { return p.descriptors }
func (p *prober) Control(ctx context.Context, _ usbip.Setup, _ []byte) ([]byte, error) {
	return p.control(ctx)
}
func (p *prober) In(ctx context.Context, _ byte, size int) ([]byte, error) { return p.in(ctx, size) }
func (p *prober) Out(context.Context, byte, []byte) error                  { return nil }

func sane() usbip.Descriptors {
	return usbip.Descriptors{
		Speed:  usbip.High,
		Device: []byte{18, 1, 0, 2, 0, 0, 0, 64, 0x09, 0x12, 0x01, 0x00, 0x34, 0x12, 1, 2, 3, 1},
		Config: []byte{
			9, 2, 39, 0, 1, 1, 0, 0x80, 50,
			9, 4, 0, 0, 3, 0xFF, 0xFF, 0xFF, 0,
			7, 5, 0x81, 3, 64, 0, 8,
			7, 5, 0x82, 2, 0, 2, 0,
			7, 5, 0x02, 2, 0, 2, 0,
		},
		Strings: usbip.Strings("Maker", "Prober", "42"),
	}
}

func hang(ctx context.Context) ([]byte, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// plug attaches a device and returns its path.
func plug(t *testing.T, p *prober) (string, *usbip.Cable) {
	t.Helper()
	cable, err := usbip.Attach(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cable.Pull() })
	id, err := cable.Socket()
	if err != nil {
		t.Fatal(err)
	}
	return "usb:" + id, cable
}

// seen waits until the bus lists a device, or not.
func seen(t *testing.T, bus Bus, path string, there bool) Info {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		found, err := bus.List(t.Context(), []ID{probeID})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range found {
			if i.Path == path && there {
				return i
			}
		}
		if len(found) == 0 && !there {
			return Info{}
		}
	}
	t.Fatalf("%s: seen %v, want %v", path, !there, there)
	return Info{}
}

func open(t *testing.T, p *prober) (Device, *usbip.Cable) {
	t.Helper()
	path, cable := plug(t, p)
	bus := System()
	seen(t, bus, path, true)
	d, err := bus.Open(t.Context(), path, probeClaim)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error("close:", err)
		}
	})
	return d, cable
}

func TestListing(t *testing.T) {
	path, cable := plug(t, &prober{descriptors: sane()})
	bus := System()
	want := Info{ID: probeID, Release: 0x1234, Path: path, Make: "Maker", Model: "Prober", Serial: "42"}
	if got := seen(t, bus, path, true); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if err := cable.Pull(); err != nil {
		t.Error(err)
	}
	seen(t, bus, path, false)
	if _, err := bus.Open(t.Context(), path, probeClaim); !errors.Is(err, driver.ErrRemoved) {
		t.Errorf("open after unplugging: %v", err)
	}
}

func TestTransfersInTheKernel(t *testing.T) {
	var answer func(ctx context.Context, size int) ([]byte, error)
	p := &prober{
		descriptors: sane(), control: hang,
		in: func(ctx context.Context, size int) ([]byte, error) { return answer(ctx, size) },
	}
	d, _ := open(t, p)
	buf := make([]byte, 307200)
	for _, tt := range []struct {
		name   string
		answer func(ctx context.Context, size int) ([]byte, error)
		want   error
		n      int
	}{
		{"whole", func(_ context.Context, size int) ([]byte, error) { return make([]byte, size), nil }, nil, len(buf)},
		{"short", func(context.Context, int) ([]byte, error) { return []byte{1, 2, 3}, nil }, nil, 3},
		{"empty", func(context.Context, int) ([]byte, error) { return nil, nil }, nil, 0},
		{"stall", func(context.Context, int) ([]byte, error) { return nil, usbip.ErrStall }, ErrStall, 0},
		{"after the stall", func(context.Context, int) ([]byte, error) { return []byte{1}, nil }, nil, 1},
		{"broken", func(context.Context, int) ([]byte, error) { return nil, errors.New("noise") }, ErrTransfer, 0},
		{"too much", func(_ context.Context, size int) ([]byte, error) { return make([]byte, size+512), nil }, ErrOverflow, -1},
		{"nothing", func(ctx context.Context, _ int) ([]byte, error) { return hang(ctx) }, ErrTimeout, 0},
	} {
		answer = tt.answer
		ctx, stop := Within(t.Context(), 2*time.Second)
		n, err := d.Read(ctx, 0x82, buf)
		stop()
		if !errors.Is(err, tt.want) || n != tt.n && tt.n >= 0 {
			t.Errorf("%s: %d bytes, %v; want %d, %v", tt.name, n, err, tt.n, tt.want)
		}
	}
	begin := time.Now()
	if _, err := d.Control(t.Context(), 0xC0, 4, 7, 0, make([]byte, 1)); !errors.Is(err, ErrTimeout) || time.Since(begin) > 2*time.Second {
		t.Errorf("a request that is not answered: %v after %v", err, time.Since(begin))
	}
}

func TestPulledInFlightInTheKernel(t *testing.T) {
	reading := make(chan struct{}, 8)
	d, cable := open(t, &prober{descriptors: sane(), in: func(ctx context.Context, _ int) ([]byte, error) {
		reading <- struct{}{}
		return hang(ctx)
	}})
	ended := make(chan error, 1)
	go func() {
		_, err := d.Read(t.Context(), 0x81, make([]byte, 64))
		ended <- err
	}()
	<-reading
	_ = cable.Pull()
	if err := <-ended; !errors.Is(err, driver.ErrRemoved) {
		t.Errorf("in flight: %v", err)
	}
	if _, err := d.Control(t.Context(), 0xC0, 4, 7, 0, make([]byte, 1)); !errors.Is(err, driver.ErrRemoved) {
		t.Errorf("a request afterwards: %v", err)
	}
	if _, err := d.Read(t.Context(), 0x82, make([]byte, 512)); !errors.Is(err, driver.ErrRemoved) {
		t.Errorf("a read afterwards: %v", err)
	}
}

// asOther makes this test program one that opens a device, for a moment or for
// as long as its input lasts.
const asOther = "SBID_TEST_OPENS"

func TestMain(m *testing.M) {
	if path := os.Getenv(asOther); path != "" {
		os.Exit(other(path))
	}
	os.Exit(m.Run())
}

func other(path string) int {
	d, err := System().Open(context.Background(), path, probeClaim)
	if err != nil {
		_, _ = os.Stdout.WriteString(err.Error() + "\n")
		if errors.Is(err, driver.ErrPermission) {
			return 3
		}
		return 1
	}
	_, _ = os.Stdout.WriteString("open\n")
	_, _ = os.Stdin.Read(make([]byte, 1))
	d.Close()
	return 0
}

func TestHeldByAnotherProgram(t *testing.T) {
	path, _ := plug(t, &prober{descriptors: sane()})
	seen(t, System(), path, true)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{asOther + "=" + path}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 100)
	if n, err := out.Read(line); err != nil || !strings.HasPrefix(string(line[:n]), "open") {
		t.Fatalf("%s, %v", line[:n], err)
	}
	_, err = System().Open(t.Context(), path, probeClaim)
	if !errors.Is(err, driver.ErrHeld) || !strings.Contains(err.Error(), "(pid ") {
		t.Errorf("open of a device that another program has: %v", err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestNoPermission(t *testing.T) {
	path, _ := plug(t, &prober{descriptors: sane()})
	seen(t, System(), path, true)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{asOther + "=" + path}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.Output()
	if cmd.ProcessState.ExitCode() != 3 || !strings.Contains(string(out), "udev rules") {
		t.Errorf("as nobody: %q, %v", out, err)
	}
}

// Descriptors that cannot be do not end the program, nor hide other devices for
// longer than they are plugged in.
func TestGarbageDescriptors(t *testing.T) {
	for name, spoil := range map[string]func(*usbip.Descriptors){
		"no interface of the class": func(d *usbip.Descriptors) { d.Config[14] = 0 },
		"missing endpoint":          func(d *usbip.Descriptors) { d.Config[20] = 0x85 },
		"isochronous endpoint":      func(d *usbip.Descriptors) { d.Config[28] = 1 },
		"strings of nonsense": func(d *usbip.Descriptors) {
			d.Strings = [][]byte{{4, 3, 9, 4}, {0xFF, 3, 1}, {}, {2, 3}}
		},
		"one interface twice": func(d *usbip.Descriptors) {
			again := []byte{9, 4, 1, 0, 0, 0xFF, 0, 0, 0, 9, 4, 0, 0, 0, 0xFF, 0, 0, 0}
			d.Config = append(d.Config, again...)
			d.Config[2], d.Config[4] = byte(len(d.Config)), 3
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &prober{descriptors: sane()}
			spoil(&p.descriptors)
			path, _ := plug(t, p)
			bus := System()
			if _, err := bus.List(t.Context(), []ID{probeID}); err != nil && !errors.Is(err, driver.ErrUnavailable) {
				t.Errorf("list: %v", err)
			}
			d, err := bus.Open(t.Context(), path, probeClaim)
			if err == nil {
				d.Close()
			}
			if name != "strings of nonsense" && err == nil {
				t.Error("it was opened")
			}
		})
	}
}
