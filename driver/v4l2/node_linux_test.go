//go:build amd64 || arm64

package v4l2

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbid/driver"
)

// The requests carry the sizes of their structures in bits 16 to 29.
func TestSizes(t *testing.T) {
	for request, size := range map[uint]uintptr{
		vidiocQueryCap:           unsafe.Sizeof(capability{}),
		vidiocEnumFmt:            unsafe.Sizeof(formatDescription{}),
		vidiocSetFmt:             unsafe.Sizeof(pixFormat{}),
		vidiocReqBufs:            unsafe.Sizeof(requestBuffers{}),
		vidiocQueryBuf:           unsafe.Sizeof(buffer{}),
		vidiocQueueBuf:           unsafe.Sizeof(buffer{}),
		vidiocDequeueBuf:         unsafe.Sizeof(buffer{}),
		vidiocSetParm:            unsafe.Sizeof(streamParameters{}),
		vidiocEnumFrameSizes:     unsafe.Sizeof(frameSize{}),
		vidiocEnumFrameIntervals: unsafe.Sizeof(frameInterval{}),
		uvciocControlQuery:       unsafe.Sizeof(unitQuery{}),
	} {
		if want := uintptr(request >> 16 & 0x3FFF); size != want {
			t.Errorf("request %08X has a structure of %d bytes, want %d", request, size, want)
		}
	}
}

// A tree is a /sys of the test's own.
type tree struct {
	t    *testing.T
	root string
}

func (tr tree) write(path, text string) {
	tr.t.Helper()
	path = filepath.Join(tr.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr tree) node(name, index, device string) {
	tr.t.Helper()
	tr.write("sys/class/video4linux/"+name+"/index", index)
	tr.write("sys/class/video4linux/"+name+"/name", "Name of "+name)
	if err := os.MkdirAll(filepath.Join(tr.root, device), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(tr.root, device), filepath.Join(tr.root, "sys/class/video4linux", name, "device")); err != nil {
		tr.t.Fatal(err)
	}
}

func TestNodes(t *testing.T) {
	tr := tree{t, t.TempDir()}
	const usb = "sys/devices/pci/usb1/1-2.3/"
	for name, text := range map[string]string{
		"idVendor": "046d", "idProduct": "0825", "serial": "ABC", "manufacturer": "Maker", "product": "Model", "bcdDevice": "0123", "devnum": "7",
	} {
		tr.write(usb+name, text)
	}
	tr.node("video3", "0", usb+"1-2.3:1.2") // near-infrared function
	tr.node("video1", "1", usb+"1-2.3:1.0") // metadata
	tr.node("video0", "0", usb+"1-2.3:1.0")
	tr.node("video9", "0", "sys/devices/platform/csi")
	tr.write("sys/class/video4linux/v4l-subdev0/index", "0")
	tr.write("sys/class/video4linux/video10/index", "none")

	var got [][3]string
	all := nodes(tr.root)
	for _, n := range all {
		got = append(got, [3]string{filepath.Base(n.path), n.addr, n.connected})
	}
	want := [][3]string{
		{"video0", "usb:1-2.3", "usb:1-2.3"}, {"video1", "usb:1-2.3", "usb:1-2.3"},
		{"video3", "usb:1-2.3/2", "usb:1-2.3"}, {"video9", "video:csi", "video:csi"},
	}
	if len(got) != len(want) {
		t.Fatalf("found %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("node %d is %v, want %v", i, got[i], want[i])
		}
	}
	info := all[0].info()
	if info.Serial != "ABC" || info.Make != "Maker" || info.Model != "Model" || info.Firmware != "1.23" || info.Path != "usb:1-2.3" {
		t.Errorf("the camera is %+v", info)
	}
	if csi := all[3].info(); csi.Make != "Generic" || csi.Model != "Name of video9" || csi.Serial != "" {
		t.Errorf("the camera that is not on USB is %+v", csi)
	}
	for _, c := range []struct {
		camera Camera
		fits   bool
	}{
		{Camera{}, true}, {Camera{Path: "usb:1-2.3"}, true}, {Camera{ID: "046d:0825", Serial: "ABC"}, true},
		{Camera{Path: "usb:1-2"}, false}, {Camera{ID: "046d:0826"}, false}, {Camera{ID: "046d:0825", Serial: "ABD"}, false},
	} {
		if all[0].fits(&c.camera) != c.fits {
			t.Errorf("%+v fits: %v, want %v", c.camera, !c.fits, c.fits)
		}
	}
	if empty := nodes(t.TempDir()); len(empty) != 0 {
		t.Errorf("without cameras there are %v", empty)
	}
}

// What the kernel says has one meaning for a scanner.
func TestMeaning(t *testing.T) {
	for _, tt := range []struct{ err, want error }{
		{unix.EACCES, driver.ErrPermission},
		{unix.EPERM, driver.ErrPermission},
		{unix.ENOENT, driver.ErrRemoved},
		{unix.ENODEV, driver.ErrRemoved},
		{unix.ENXIO, driver.ErrRemoved},
		{unix.EBUSY, driver.ErrHeld},
		{unix.EIO, driver.ErrNotReady},
		{unix.ETIMEDOUT, driver.ErrNotReady},
		{unix.EINVAL, unix.EINVAL},
	} {
		got := meaning("/dev/none", tt.err)
		if !errors.Is(got, tt.want) {
			t.Errorf("%v means %v, want %v", tt.err, got, tt.want)
		}
		if errors.Is(tt.want, unix.EINVAL) && errors.Is(got, driver.ErrNotReady) {
			t.Errorf("%v is worth another try", tt.err)
		}
	}
}

func TestNowhere(t *testing.T) {
	d, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := d.Open(t.Context(), "usb:9-9"); !errors.Is(err, driver.ErrRemoved) {
		t.Errorf("a camera where none is: %v, %v", s, err)
	}
}
