package usbip

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func raw(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// zeros are words of a header that say nothing.
func zeros(n int) string { return strings.Repeat("00000000", n) }

func TestMessagesOnTheWire(t *testing.T) {
	for name, tt := range map[string]struct {
		message message
		wire    string
	}{
		"read of the device descriptor": {
			message{command: cmdSubmit, seq: 0x0D05, device: 0x1000F, in: true, length: 0x40, setup: Setup{Type: 0x80, Request: 6, Value: 0x100, Length: 0x40}.bytes()},
			"00000001 00000d05 0001000f 00000001 00000000 00000000 00000040" + zeros(3) + "8006000100004000",
		},
		"answer":           {message{command: retSubmit, seq: 0x0D05, length: 18}, "00000003 00000d05" + zeros(4) + "00000012" + zeros(5)},
		"stall":            {message{command: retSubmit, seq: 1, status: statusStall}, "00000003 00000001" + zeros(3) + "ffffffe0" + zeros(6)},
		"unlink":           {message{command: cmdUnlink, seq: 2, device: 1, victim: 1}, "00000002 00000002 00000001" + zeros(2) + "00000001" + zeros(6)},
		"answer to unlink": {message{command: retUnlink, seq: 2, status: statusCancelled}, "00000004 00000002" + zeros(3) + "ffffff98" + zeros(6)},
	} {
		t.Run(name, func(t *testing.T) {
			want := raw(t, tt.wire)
			if got := tt.message.append(nil); !bytes.Equal(got, want) {
				t.Errorf("written as\n% X, want\n% X", got, want)
			}
			if got, err := readMessage(bytes.NewReader(want)); got != tt.message || err != nil {
				t.Errorf("read as %+v, %v", got, err)
			}
		})
	}
}

// The same messages again: what is read is written as it was.
func FuzzMessage(f *testing.F) {
	f.Add(message{command: cmdSubmit, seq: 1, in: true, length: 64}.append(nil))
	f.Add(message{command: retUnlink, seq: 1, status: -104}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readMessage(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := readMessage(bytes.NewReader(m.append(nil)))
		if err != nil || again != m {
			t.Errorf("%+v became %+v, %v", m, again, err)
		}
	})
}

// A half is a connection whose host sends what is given and listens to nothing.
type half struct{ io.Reader }

func (half) Write(b []byte) (int, error) { return len(b), nil }
func (half) Close() error                { return nil }

// A host that sends nonsense ends its session, and nothing else.
func FuzzSession(f *testing.F) {
	f.Add(message{command: cmdSubmit, seq: 1, in: true, length: 64, setup: Setup{Type: 0x80, Request: 6, Value: 0x100, Length: 64}.bytes()}.append(nil))
	out := message{command: cmdSubmit, seq: 1, endpoint: 2, length: 3}.append(nil)
	f.Add(append(out, 1, 2, 3))
	f.Add(append(message{command: cmdSubmit, seq: 1, endpoint: 1, in: true, length: 8}.append(nil),
		message{command: cmdUnlink, seq: 2, victim: 1}.append(nil)...))
	f.Fuzz(func(_ *testing.T, b []byte) {
		e := newEcho()
		e.entered = make(chan struct{}, len(b))
		_ = serve(half{bytes.NewReader(b)}, e)
	})
}

func TestNonsenseEndsTheSession(t *testing.T) {
	first := message{command: cmdSubmit, seq: 1, endpoint: 1, in: true, length: 8}.append(nil)
	for name, b := range map[string][]byte{
		"unknown command":   message{command: 9}.append(nil),
		"answer":            message{command: retSubmit}.append(nil),
		"isochronous":       message{command: cmdSubmit, packets: 8}.append(nil),
		"huge buffer":       message{command: cmdSubmit, length: maxTransfer + 1}.append(nil),
		"endpoint 16":       message{command: cmdSubmit, endpoint: 16}.append(nil),
		"number used twice": append(first, first...),
	} {
		t.Run(name, func(t *testing.T) {
			host, cable := net.Pipe()
			c := plug(cable, newEcho())
			go host.Write(b)
			<-c.Done()
			host.Close()
			if err := c.Pull(); err == nil {
				t.Error("no error")
			}
		})
	}
	t.Run("too much at once", func(t *testing.T) {
		var b []byte
		for i := range uint32(maxPending + 2) {
			b = message{command: cmdSubmit, seq: i, endpoint: 1, in: true, length: 8}.append(b)
		}
		if err := serve(half{bytes.NewReader(b)}, newEcho()); err == nil {
			t.Error("no error")
		}
	})
}

// export serves twins over TCP and returns a dialer.
func export(t *testing.T, devices ...Device) func(request string) net.Conn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, ln, devices...) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return func(request string) net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(raw(t, request)); err != nil {
			t.Fatal(err)
		}
		return conn
	}
}

// busID is the wire form of a bus.
func busID(name string) string {
	return hex.EncodeToString(append([]byte(name), make([]byte, busIDSize-len(name))...))
}

func expect(t *testing.T, conn net.Conn, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(conn, b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestListOverTCP(t *testing.T) {
	dial := export(t, newEcho(), newEcho())
	b := expect(t, dial("0111 8005 00000000"), 12+2*(312+4))
	if head := raw(t, "0111 0005 00000000 00000002"); !bytes.Equal(b[:12], head) {
		t.Errorf("head % X, want % X", b[:12], head)
	}
	second := b[12+316:]
	if got := string(bytes.TrimRight(second[256:288], "\x00")); got != "1-2" {
		t.Errorf("bus %q, want 1-2", got)
	}
	if got, want := second[288:], raw(t, "00000001 00000002 00000002 1209 0001 1234 ff 00 00 01 01 01 ff fe fd 00"); !bytes.Equal(got, want) {
		t.Errorf("record ends % X, want % X", got, want)
	}
}

func TestImportOverTCP(t *testing.T) {
	dial := export(t, newEcho())
	conn := dial("0111 8003 00000000" + busID("1-1"))
	if b := expect(t, conn, 8+312); binary.BigEndian.Uint32(b[4:]) != 0 {
		t.Fatalf("refused: % X", b[:8])
	}
	h := newHost(conn)
	buf := make([]byte, 18)
	if n, err := h.Control(t.Context(), 0x80, 6, 0x0100, 0, buf); n != 18 || err != nil {
		t.Errorf("over TCP: %d, %v", n, err)
	}
	for name, bus := range map[string]string{"taken": "1-1", "unknown": "2-1"} {
		if b := expect(t, dial("0111 8003 00000000"+busID(bus)), 8); binary.BigEndian.Uint32(b[4:]) == 0 {
			t.Errorf("import of a device that is %s was granted", name)
		}
	}
	conn.Close()
}

func TestNonsenseOverTCP(t *testing.T) {
	dial := export(t, newEcho())
	for _, request := range []string{"0110 8005 00000000", "0111 8009 00000000", "47455420 2f204854"} {
		if n, err := dial(request).Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: %d bytes of answer", request, n)
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte("\x01\x11\x80\x05\x00\x00\x00\x00"))
	f.Add(append([]byte("\x01\x11\x80\x03\x00\x00\x00\x00"), make([]byte, 32)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		code, bus, err := readRequest(bytes.NewReader(b))
		if err == nil && (code != reqDevices && code != reqImport || len(bus) > busIDSize) {
			t.Errorf("%04x %q", code, bus)
		}
	})
}

// Records are made of descriptors that may be nonsense.
func FuzzRecord(f *testing.F) {
	f.Add(descriptors.Device, descriptors.Config)
	f.Add([]byte{}, []byte{0, 4})
	f.Fuzz(func(t *testing.T, device, config []byte) {
		if n := len(record(0, Descriptors{Device: device, Config: config})); n != 312 {
			t.Errorf("a record of %d bytes", n)
		}
	})
}
