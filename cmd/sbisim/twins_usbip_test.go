package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// A usbipClient speaks as the stock client and the kernel do, with a device that
// it imported (Linux Documentation/usb/usbip_protocol).
type usbipClient struct {
	t    *testing.T
	conn net.Conn
	seq  uint32
}

// usbipAsk makes a request of the management phase and returns the answer's status.
func usbipAsk(t *testing.T, addr string, code uint16, rest []byte) (net.Conn, uint32) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	request := binary.BigEndian.AppendUint16([]byte{1, 0x11}, code)
	request = append(append(request, 0, 0, 0, 0), rest...)
	if _, err := conn.Write(request); err != nil {
		t.Fatal(err)
	}
	head := readExactly(t, conn, 8)
	if got := binary.BigEndian.Uint16(head[2:]); got != code&^0x8000 {
		t.Fatalf("answer %04x to request %04x", got, code)
	}
	return conn, binary.BigEndian.Uint32(head[4:])
}

func readExactly(t *testing.T, r io.Reader, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// importDevice takes a device, as soon as whoever had it has let go.
func importDevice(t *testing.T, addr, bus string) *usbipClient {
	t.Helper()
	id := make([]byte, 32)
	copy(id, bus)
	for end := time.Now().Add(time.Minute); ; {
		conn, status := usbipAsk(t, addr, 0x8003, id)
		if status == 0 {
			readExactly(t, conn, 312)
			return &usbipClient{t: t, conn: conn}
		}
		if time.Now().After(end) {
			t.Fatalf("import %s: status %d", bus, status)
		}
	}
}

// transfer carries data to an endpoint, or n bytes at most from one, where setup
// is that of a request on endpoint 0.
func (c *usbipClient) transfer(endpoint byte, setup [8]byte, data []byte, n int) []byte {
	c.t.Helper()
	c.seq++
	in := uint32(0)
	if endpoint&0x80 != 0 || setup[0]&0x80 != 0 {
		in = 1
	}
	var b []byte
	for _, w := range []uint32{1, c.seq, 0, in, uint32(endpoint & 15), 0, uint32(max(n, len(data))), 0, 0, 0} {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	if _, err := c.conn.Write(append(append(b, setup[:]...), data...)); err != nil {
		c.t.Fatal(err)
	}
	answer := readExactly(c.t, c.conn, 48)
	if status := int32(binary.BigEndian.Uint32(answer[20:])); status != 0 {
		c.t.Fatalf("transfer on %02x: status %d", endpoint, status)
	}
	if in == 0 {
		return nil
	}
	return readExactly(c.t, c.conn, int(binary.BigEndian.Uint32(answer[24:])))
}

// The devices are exported to whoever speaks USB/IP, and what is laid on them
// arrives there.
func TestTwinsOnUSBIP(t *testing.T) {
	lines := runTwins(t, "usbip", "--listen", "127.0.0.1:0", "--hold", "100ms", "--pause", "100ms",
		"--device", "uru4500,uru-v2", "--device", "nb1010", "--device", "camera")
	var addr string
	for i, name := range []string{"U.are.U 4500", "Microsoft", "NB-1010-U", "camera"} {
		if !lines.Scan() {
			t.Fatalf("%d lines", i)
		}
		_, command, _ := strings.Cut(lines.Text(), ": ")
		var port, bus int
		if _, err := fmt.Sscanf(command, "usbip --tcp-port %d attach -r 127.0.0.1 -b 1-%d", &port, &bus); err != nil ||
			bus != i+1 || !strings.Contains(lines.Text(), name) {
			t.Fatalf("line %d is %q: %v", i, lines.Text(), err)
		}
		addr = fmt.Sprintf("127.0.0.1:%d", port)
	}

	conn, status := usbipAsk(t, addr, 0x8005, nil)
	if count := binary.BigEndian.Uint32(readExactly(t, conn, 4)); status != 0 || count != 4 {
		t.Fatalf("%d devices, status %d", count, status)
	}

	for bus, id := range map[string][]byte{
		"1-1": {0xBA, 0x05, 0x0A, 0x00}, "1-2": {0x5E, 0x04, 0xCA, 0x00},
		"1-3": {0x8D, 0x29, 0x10, 0x10}, "1-4": {0x09, 0x12, 0x03, 0x00},
	} {
		c := importDevice(t, addr, bus)
		d := c.transfer(0, [8]byte{0x80, 6, 0, 1, 0, 0, 18}, nil, 18)
		if len(d) != 18 || !bytes.Equal(d[8:12], id) {
			t.Errorf("%s: device descriptor % X", bus, d)
		}
		c.conn.Close()
	}

	// The reader tells of the finger, to one client after the other.
	for range 2 {
		c := importDevice(t, addr, "1-1")
		for range 2 {
			c.mode(0x10)
			c.event(0x01, 0x01)
			c.mode(0x12)
			c.event(0x02, 0x00)
		}
		c.conn.Close()
	}

	// So does the other maker's: its contact rises when it is asked again.
	c := importDevice(t, addr, "1-3")
	for lifted := false; ; {
		c.transfer(0x02, [8]byte{}, []byte{0x80, 0x38, 0, 0, 8, 0, 0, 0}, 0)
		contact := c.transfer(0x83, [8]byte{}, nil, 64)[12]
		if contact < 0x10 {
			lifted = true
		} else if lifted && contact > 0xC0 {
			break
		}
	}
}

// mode sets what a U.are.U reader does.
func (c *usbipClient) mode(m byte) {
	c.t.Helper()
	c.transfer(0, [8]byte{0x40, 4, 0x4E, 0, 0, 0, 1}, []byte{m}, 0)
}

// event waits for what it tells.
func (c *usbipClient) event(hi, lo byte) {
	c.t.Helper()
	if b := c.transfer(0x81, [8]byte{}, nil, 64); len(b) != 64 || b[0] != hi || b[1] != lo {
		c.t.Errorf("event % X, want %02X%02X", b[:min(2, len(b))], hi, lo)
	}
}

func TestTwinsAttachNeedsTheModule(t *testing.T) {
	if _, err := os.Stat("/sys/devices/platform/vhci_hcd.0"); err == nil {
		t.Skip("vhci_hcd is loaded: this would plug a reader into this machine")
	}
	for _, kind := range []string{"uru4500", "nb1010", "camera"} {
		got := fails(t, "usbip", "--attach", "--device", kind)
		for _, want := range []string{"modprobe vhci_hcd", "usbip attach -r HOST -b 1-1"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q does not tell of %q", kind, got, want)
			}
		}
	}
}
