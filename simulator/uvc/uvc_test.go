package uvc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"slices"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sbid/simulator/usbip"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plug connects a camera to a host controller in this process.
func plug(t *testing.T, c Camera) (*Twin, *usbip.Host) {
	t.Helper()
	var host *usbip.Host
	twin, err := StartAt(func(d usbip.Device) (cable *usbip.Cable, err error) {
		host, cable = usbip.Connect(d)
		return cable, nil
	}, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(twin.Close)
	return twin, host
}

// ask makes a class request to the video function.
func ask(t *testing.T, h *usbip.Host, request, selector, entity, iface byte, data []byte) error {
	t.Helper()
	kind := byte(0x21)
	if request >= getCur {
		kind = 0xA1
	}
	_, err := h.Control(t.Context(), kind, request, uint16(selector)<<8, uint16(entity)<<8|uint16(iface), data)
	return err
}

// commit makes the camera send a format and size by their numbers.
func commit(t *testing.T, h *usbip.Host, format, frame byte) []byte {
	t.Helper()
	probe := make([]byte, probeSize)
	probe[2], probe[3] = format, frame
	if err := ask(t, h, setCur, probeControl, 0, streamInterface, probe); err != nil {
		t.Fatal(err)
	}
	if err := ask(t, h, getCur, probeControl, 0, streamInterface, probe); err != nil {
		t.Fatal(err)
	}
	if err := ask(t, h, setCur, commitControl, 0, streamInterface, probe); err != nil {
		t.Fatal(err)
	}
	return probe
}

// take reads payloads until a picture ends.
func take(ctx context.Context, h *usbip.Host) (picture []byte, id byte, err error) {
	buf := make([]byte, maxPayload)
	for {
		n, err := h.Transfer(ctx, endpoint, buf)
		if err != nil {
			return nil, 0, err
		}
		if n < headSize || buf[0] != headSize || buf[1]&headEnd == 0 {
			return nil, 0, errors.New("a payload without a header")
		}
		picture = append(picture, buf[headSize:n]...)
		if buf[1]&headLast != 0 {
			return picture, buf[1] & 1, nil
		}
	}
}

func must(t *testing.T, h *usbip.Host) (picture []byte, id byte) {
	t.Helper()
	picture, id, err := take(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	return picture, id
}

func scene() image.Image {
	img := image.NewGray(image.Rect(0, 0, 40, 20))
	for i := range img.Pix {
		img.Pix[i] = uint8(i)
	}
	return img
}

// The structures of the descriptors add up: a host walks them by their lengths.
func TestDescriptors(t *testing.T) {
	c, err := Camera{Emitter: true, Modes: []Mode{{"MJPG", 640, 480}, {"GREY", 640, 480}, {"MJPG", 320, 240}}}.complete()
	if err != nil {
		t.Fatal(err)
	}
	d := c.descriptors()
	if len(d.Device) != 18 || int(binary.LittleEndian.Uint16(d.Config[2:])) != len(d.Config) {
		t.Fatalf("%d bytes of device, %d of configuration that claims %d", len(d.Device), len(d.Config), binary.LittleEndian.Uint16(d.Config[2:]))
	}
	var kinds []byte
	claimed, streaming := 0, 0
	for b := d.Config; len(b) > 0; b = b[b[0]:] {
		if b[0] < 2 || int(b[0]) > len(b) {
			t.Fatalf("descriptor % X", b)
		}
		switch {
		case b[1] == 4 && b[2] == streamInterface:
			streaming = 1
		case b[1] == 0x24 && streaming == 1:
			streaming, claimed = 2, int(binary.LittleEndian.Uint16(b[4:]))
			kinds = append(kinds, b[2])
			claimed -= int(b[0])
		case b[1] == 0x24 && streaming == 2:
			kinds = append(kinds, b[2])
			claimed -= int(b[0])
		}
	}
	if want := []byte{1, 6, 7, 7, 0x0D, 4, 5, 0x0D}; !slices.Equal(kinds, want) || claimed != 0 {
		t.Errorf("the streaming interface has % X, off by %d bytes; want % X", kinds, claimed, want)
	}
}

// The worked example of a probe: YUY2 of 640x480 at 30 pictures a second.
func TestNegotiation(t *testing.T) {
	_, h := plug(t, Camera{Modes: []Mode{{"YUYV", 640, 480}, {"MJPG", 320, 240}}})
	got := commit(t, h, 1, 1)
	want := []byte{
		1, 0, 1, 1, 0x15, 0x16, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x60, 9, 0, 0, 0x40, 0, 0,
	}
	if !bytes.Equal(got, want) {
		t.Errorf("agreed on\n% X, want\n% X", got, want)
	}
	if got := commit(t, h, 9, 9); got[2] != 1 || got[3] != 1 {
		t.Errorf("a format that is not there became %d, %d; want the first", got[2], got[3])
	}
	if err := ask(t, h, getCur, 9, 0, streamInterface, make([]byte, 1)); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("an unknown control: %v; want a stall", err)
	}
}

func TestPictures(t *testing.T) {
	modes := []Mode{{"YUYV", 64, 48}, {"GREY", 64, 48}, {"Y8I", 64, 48}, {"Y10", 64, 48}, {"Y12", 64, 48}, {"Y16", 64, 48}}
	twin, h := plug(t, Camera{Modes: modes, Rate: 200})
	twin.Show(scene())
	dark := color.GrayModel.Convert(ground).(color.Gray).Y
	for i, m := range modes {
		commit(t, h, byte(i+1), 1)
		picture, id := must(t, h)
		if len(picture) != m.size() {
			t.Errorf("%v: %d bytes, want %d", m, len(picture), m.size())
			continue
		}
		at := (14*64 + 12) * bytesPerPixel(m.Format) // the scene's first pixel
		for pixel, want := range map[int]int{at: 0, 0: int(dark)} {
			got := int(picture[pixel])
			switch m.Format {
			case "YUYV":
				got = (got - 16) * 255 / 219
			case "Y10", "Y12", "Y16":
				got = int(binary.LittleEndian.Uint16(picture[pixel:])) >> map[string]int{"Y10": 2, "Y12": 4, "Y16": 8}[m.Format]
			}
			if got < want-2 || got > want+2 {
				t.Errorf("%v: byte %d means %d, want %d", m, pixel, got, want)
			}
		}
		if _, next := must(t, h); next == id {
			t.Errorf("%v: two pictures of one number", m)
		}
	}
}

func TestMotionJPEGHasNoTables(t *testing.T) {
	twin, h := plug(t, Camera{})
	twin.Show(scene())
	commit(t, h, 1, 1)
	picture, _ := must(t, h)
	if !bytes.HasPrefix(picture, []byte{0xFF, 0xD8}) || !bytes.HasSuffix(picture, []byte{0xFF, 0xD9}) || bytes.Contains(picture, []byte{0xFF, 0xC4}) {
		t.Error("the picture has no start, no end, or tables")
	}
}

func TestFaults(t *testing.T) {
	twin, h := plug(t, Camera{Modes: []Mode{{"MJPG", 64, 48}}, Rate: 200})
	commit(t, h, 1, 1)
	whole, _ := must(t, h)
	for fault, longer := range map[string]int{CutAll: -1, Garbage: 1, PadPicture: 1, OtherSize: 1, Nonsense: 0} {
		twin.Misbehave(fault)
		if _, _, err := take(t.Context(), h); err != nil { // it may have begun before
			t.Fatal(err)
		}
		got, _ := must(t, h)
		if is := len(got) - len(whole); is*longer < 0 || is == 0 && longer != 0 || bytes.Equal(got, whole) {
			t.Errorf("%s: %d bytes, without it %d", fault, len(got), len(whole))
		}
	}
	twin.Misbehave(StallOnce)
	if _, _, err := take(t.Context(), h); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("a stall: %v", err)
	}
	if _, err := h.Control(t.Context(), 2, 1, 0, endpoint, nil); err != nil {
		t.Fatal(err)
	}
	must(t, h)
	twin.Misbehave(Refuse)
	if err := ask(t, h, setCur, commitControl, 0, streamInterface, make([]byte, probeSize)); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("refused: %v", err)
	}
	twin.Misbehave(Silent)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for {
		if _, _, err := take(ctx, h); err != nil {
			if ctx.Err() == nil {
				t.Errorf("silent: %v", err)
			}
			break
		}
	}
}

func TestEmitter(t *testing.T) {
	twin, h := plug(t, Camera{Modes: []Mode{{"GREY", 64, 48}}, Rate: 200, Emitter: true})
	commit(t, h, 1, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := take(ctx, h); ctx.Err() == nil || twin.Lit() {
		t.Errorf("pictures without light: %v", err)
	}
	on := []byte{1, 3, 2, 0, 0, 0, 0, 0, 0}
	if err := ask(t, h, setCur, emitterControl, emitterUnit, controlInterface, on); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, emitterSize)
	if err := ask(t, h, getCur, emitterControl, emitterUnit, controlInterface, got); err != nil || !bytes.Equal(got, on) || !twin.Lit() {
		t.Errorf("the control is % X, %v; lit: %v", got, err, twin.Lit())
	}
	one, _ := must(t, h)
	two, _ := must(t, h)
	if (one[0] == 0) == (two[0] == 0) {
		t.Errorf("two pictures with light on every other begin with %d and %d", one[0], two[0])
	}
}

func TestHeldAndUnplugged(t *testing.T) {
	twin, h := plug(t, Camera{Rate: 200})
	commit(t, h, 1, 1)
	reached := twin.Hold(StagePicture)
	ended := make(chan error, 1)
	go func() {
		_, _, err := take(t.Context(), h)
		ended <- err
	}()
	<-reached
	twin.Release()
	if err := <-ended; err != nil {
		t.Error("released:", err)
	}
	reached = twin.Hold(StageProbe)
	go func() { ended <- ask(t, h, setCur, probeControl, 0, streamInterface, make([]byte, probeSize)) }()
	<-reached
	twin.Unplug()
	if err := <-ended; err == nil {
		t.Log("the answer was under way") // Unplug releases first
	}
	if _, _, err := take(t.Context(), h); !errors.Is(err, syscall.ENODEV) {
		t.Errorf("unplugged: %v", err)
	}
	if err := twin.Plug(); err != nil {
		t.Fatal(err)
	}
}

func TestImpossibleCameras(t *testing.T) {
	for name, c := range map[string]Camera{
		"format": {Modes: []Mode{{"H264", 640, 480}}},
		"width":  {Modes: []Mode{{"YUYV", 641, 480}}},
		"huge":   {Modes: []Mode{{"YUYV", 64000, 480}}},
		"rate":   {Rate: 1000},
		"none":   {Modes: []Mode{}},
	} {
		if twin, err := Start(c); err == nil {
			twin.Close()
			t.Errorf("%s: such a camera was plugged in", name)
		}
	}
}
