package serial

import (
	"bytes"
	"encoding/hex"
	"errors"
	"image"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wireBytes reads bytes written as in a manual.
func wireBytes(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A port is a driver's end of a twin's line.
type port struct {
	*os.File

	t testing.TB
}

// dial opens a twin's line at a named rate of termbits.h, whose mask is 0x100F.
func dial(t testing.TB, twin *Twin, baud uint32) port {
	t.Helper()
	f, err := os.OpenFile(twin.Path(), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	p := port{f, t}
	p.rate(baud)
	return p
}

func (p port) rate(baud uint32) {
	p.t.Helper()
	var s syscall.Termios
	if err := ioctl(p.File, syscall.TCGETS, unsafe.Pointer(&s)); err != nil {
		p.t.Fatal(err)
	}
	s.Cflag = s.Cflag&^0x100F | baud
	if err := ioctl(p.File, syscall.TCSETS, unsafe.Pointer(&s)); err != nil {
		p.t.Fatal(err)
	}
}

// ask writes question and compares what comes with answer.
func (p port) ask(question, answer string) {
	p.t.Helper()
	if _, err := p.Write(wireBytes(p.t, question)); err != nil {
		p.t.Fatal(err)
	}
	p.expect(answer)
}

func (p port) expect(answer string) {
	p.t.Helper()
	want := wireBytes(p.t, answer)
	got := make([]byte, len(want))
	if err := p.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	if n, err := io.ReadFull(p, got); err != nil || !bytes.Equal(got, want) {
		p.t.Fatalf("answered % X, %v; want % X", got[:n], err, want)
	}
}

func startEF01(t testing.TB, o EF01) *Twin {
	t.Helper()
	twin, err := StartEF01(filepath.Join(t.TempDir(), "tty"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(twin.Close)
	return twin
}

func startGT511(t testing.TB, o GT511) *Twin {
	t.Helper()
	twin, err := StartGT511(filepath.Join(t.TempDir(), "tty"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(twin.Close)
	return twin
}

const (
	header = "EF 01 FF FF FF FF "
	ok     = header + "07 00 03 00 00 0A"
)

// The order matters: each line is asked after the one before.
func TestEF01Answers(t *testing.T) {
	twin := startEF01(t, EF01{Width: 192, Height: 192, Product: "R503", Serial: "00000001", Boot: time.Millisecond})
	p := dial(t, twin, syscall.B57600)
	p.expect("55")
	for _, tt := range []struct{ name, question, answer string }{
		{"password", header + "01 00 07 13 00 00 00 00 00 1B", ok},
		{"wrong password", header + "01 00 07 13 00 00 00 01 00 1C", header + "07 00 03 13 00 1D"},
		{"parameters", header + "01 00 03 0F 00 13", header + "07 00 13 00 00 00 00 00 00 C8 00 03 FF FF FF FF 00 02 00 06 04 E9"},
		{"product", header + "01 00 03 3C 00 40", header + "07 00 31 00 52 35 30 33 00 00 00 00 00 00 00 00 00 00 00 00 30 30 30 31 30 30 30 30 30 30 30 31 01 02 46 50 53 31 39 32 00 00 00 C0 00 C0 06 00 00 C8 07 3A"},
		{"sensor", header + "01 00 03 36 00 3A", ok},
		{"aura", header + "01 00 07 35 01 80 02 00 00 C0", ok},
		{"finger", header + "01 00 03 01 00 05", header + "07 00 03 02 00 0C"},
		{"no image", header + "01 00 03 0A 00 0E", header + "07 00 03 15 00 1F"},
		{"unknown", header + "01 00 03 99 00 9D", header + "07 00 03 FC 01 06"},
		{"bad checksum", header + "01 00 03 01 00 06", header + "07 00 03 01 00 0B"},
		{"bad register", header + "01 00 05 0E 09 03 00 20", header + "07 00 03 1A 00 24"},
		{"not for it, then for it", "EF 01 FF FF FF FE 01 00 03 01 00 05" + header + "01 00 03 36 00 3A", ok},
		{"no packet, then one", "00 EF EF 01 FF FF FF FF 01 00 00" + header + "01 00 03 36 00 3A", ok},
		{"packet size", header + "01 00 05 0E 06 03 00 1D", ok},
		{"rate", header + "01 00 05 0E 04 0C 00 24", ok},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port{p.File, t}.ask(tt.question, tt.answer)
		})
	}
	// The new rate holds from here on, and over a loss of power.
	p.rate(syscall.B115200)
	p.ask(header+"01 00 03 36 00 3A", ok)
	twin.Unplug()
	if err := twin.Plug(); err != nil {
		t.Fatal(err)
	}
	p = dial(t, twin, syscall.B115200)
	p.expect("55")
	p.ask(header+"01 00 03 36 00 3A", ok)
}

func TestEF01SendsFourBitsAPixel(t *testing.T) {
	white := image.NewGray(image.Rect(0, 0, 256, 288))
	for i := range white.Pix {
		white.Pix[i] = 0xF7
		if i%2 == 1 {
			white.Pix[i] = 0x07
		}
	}
	twin := startEF01(t, EF01{})
	twin.Show(white)
	p := dial(t, twin, syscall.B57600)
	p.ask(header+"01 00 03 01 00 05", ok)
	p.ask(header+"01 00 03 0A 00 0E", ok)
	for range 287 {
		p.expect(header + "02 00 82" + strings.Repeat("F0", 128) + "78 84")
	}
	p.expect(header + "08 00 82" + strings.Repeat("F0", 128) + "78 8A")
}

func TestEF01WantsItsPassword(t *testing.T) {
	twin := startEF01(t, EF01{Password: 1})
	p := dial(t, twin, syscall.B57600)
	p.ask(header+"01 00 03 01 00 05", header+"07 00 03 21 00 2B")
	p.ask(header+"01 00 07 13 00 00 00 01 00 1C", ok)
	p.ask(header+"01 00 03 01 00 05", header+"07 00 03 02 00 0C")
}

const (
	ackGT  = "55 AA 01 00 00 00 00 00 30 00 30 01"
	openGT = "55 AA 01 00 01 00 00 00 01 00 02 01"
)

func TestGT511Answers(t *testing.T) {
	twin := startGT511(t, GT511{Serial: [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}})
	p := dial(t, twin, syscall.B9600)
	for _, tt := range []struct{ name, question, answer string }{
		{"open", openGT, ackGT + "5A A5 01 00 06 08 13 20 00 00 00 00 00 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F B9 01"},
		{"open, plain", "55 AA 01 00 00 00 00 00 01 00 01 01", ackGT},
		{"finger", "55 AA 01 00 00 00 00 00 26 00 26 01", "55 AA 01 00 12 10 00 00 30 00 52 01"},
		{"capture", "55 AA 01 00 01 00 00 00 60 00 61 01", "55 AA 01 00 12 10 00 00 31 00 53 01"},
		{"image of nothing", "55 AA 01 00 00 00 00 00 62 00 62 01", "55 AA 01 00 12 10 00 00 31 00 53 01"},
		{"unknown", "55 AA 01 00 00 00 00 00 99 00 99 01", "55 AA 01 00 0E 10 00 00 31 00 4F 01"},
		{"bad checksum", "55 AA 01 00 00 00 00 00 26 00 27 01", "55 AA 01 00 06 10 00 00 31 00 47 01"},
		{"bad rate", "55 AA 01 00 01 00 00 00 04 00 05 01", "55 AA 01 00 11 10 00 00 31 00 52 01"},
		{"count", "55 AA 01 00 00 00 00 00 20 00 20 01", ackGT},
		{"light", "55 AA 01 00 01 00 00 00 12 00 13 01", ackGT},
		{"close", "55 AA 01 00 00 00 00 00 02 00 02 01", ackGT},
		{"rate", "55 AA 01 00 00 C2 01 00 04 00 C7 01", ackGT},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port{p.File, t}.ask(tt.question, tt.answer)
		})
	}
	p.rate(syscall.B115200)
	p.ask("55 AA 01 00 00 00 00 00 02 00 02 01", ackGT)
}

// Without its light the sensor sees nothing.
func TestGT511NeedsItsLight(t *testing.T) {
	twin := startGT511(t, GT511{})
	twin.Show(image.NewGray(image.Rect(0, 0, 10, 10)))
	const press = "55 AA 01 00 00 00 00 00 26 00 26 01"
	p := dial(t, twin, syscall.B9600)
	p.ask(press, "55 AA 01 00 12 10 00 00 30 00 52 01")
	p.ask("55 AA 01 00 01 00 00 00 12 00 13 01", ackGT)
	p.ask(press, ackGT)
	twin.Show(nil)
	p.ask(press, "55 AA 01 00 12 10 00 00 30 00 52 01")
}

func TestWrongRateIsNotHeard(t *testing.T) {
	p := dial(t, startGT511(t, GT511{}), syscall.B57600)
	if _, err := p.Write(wireBytes(t, openGT)); err != nil {
		t.Fatal(err)
	}
	if err := p.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestUnplugHangsUp(t *testing.T) {
	twin := startEF01(t, EF01{})
	p := dial(t, twin, syscall.B57600)
	twin.Unplug()
	twin.Unplug() // no harm
	if n, err := p.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d, %v from an unplugged module", n, err)
	}
	if _, err := os.Lstat(twin.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Error("its path is still there:", err)
	}
	if _, err := StartEF01(filepath.Join(t.TempDir(), "no", "tty"), EF01{}); err == nil {
		t.Error("a twin was started where no link can be made")
	}
}
