//go:build hardware

package v4l2

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sbid/driver"
	"sbid/driver/drivertest"
	"sbid/simulator/uvc"
)

// patience of the driver under test: an emulated processor is slow.
const patience = 1500 * time.Millisecond

// A bench is a camera in the guest's kernel, and the driver that means it alone.
type bench struct {
	*uvc.Twin

	driver *Driver
}

var serials atomic.Int64

// plug starts a camera of its own serial number and waits for its node.
func plug(t testing.TB, c uvc.Camera, meant Camera) *bench {
	t.Helper()
	c.Serial = fmt.Sprintf("UVC%09d", serials.Add(1))
	meant.Serial = c.Serial
	d, err := New(Config{Cameras: []Camera{meant}, Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	twin, err := uvc.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{twin, d}
	t.Cleanup(b.Unplug)
	b.await(t, 1)
	return b
}

// await waits until the driver sees n cameras.
func (b *bench) await(t testing.TB, n int) {
	t.Helper()
	if err := b.see(n); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) see(n int) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		infos, err := b.driver.Probe(context.Background())
		if err == nil && len(infos) == n {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("the driver sees %v; want %d cameras", infos, n), err)
		}
	}
}

// Plug waits until the kernel has made the camera's node.
func (b *bench) Plug() error {
	if err := b.Twin.Plug(); err != nil {
		return err
	}
	return b.see(1)
}

// Unplug waits until the kernel has taken the node away.
func (b *bench) Unplug() {
	b.Twin.Unplug()
	_ = b.see(0)
}

// portrait is a picture of coloured shapes, no one's face.
func portrait() *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, 200, 200))
	for y := range 200 {
		for x := range 200 {
			r := math.Hypot(float64(x-100), float64(y-100))
			img.SetRGBA(x, y, color.RGBA{uint8(128 + 100*math.Cos(r/20)), uint8(x), uint8(y), 255})
		}
	}
	return img
}

// difference is the mean distance of a frame and a picture in its middle, in
// levels of grey.
func difference(got image.Image, picture image.Image) float64 {
	b := picture.Bounds()
	corner := got.Bounds().Size().Sub(b.Size()).Div(2)
	sum, n := 0.0, 0
	for y := b.Min.Y; y < b.Max.Y; y += 3 {
		for x := b.Min.X; x < b.Max.X; x += 3 {
			g := color.GrayModel.Convert(got.At(x-b.Min.X+corner.X, y-b.Min.Y+corner.Y)).(color.Gray).Y
			p := color.GrayModel.Convert(picture.At(x, y)).(color.Gray).Y
			sum += math.Abs(float64(g) - float64(p))
			n++
		}
	}
	return sum / float64(n)
}

func check(t *testing.T, f driver.Frame) {
	t.Helper()
	if d := difference(f.Image, portrait()); d > 6 {
		t.Errorf("the frame differs from what was shown by %.1f levels", d)
	}
}

// small is a mode that an emulated processor can decode several cameras of.
func small(format string) uvc.Camera {
	return uvc.Camera{Modes: []uvc.Mode{{Format: format, Width: 320, Height: 240}}, Rate: 10}
}

func TestHardwareConformance(t *testing.T) {
	drivertest.Run(t, drivertest.Harness{
		New: func(t testing.TB) (driver.Driver, drivertest.Twin) {
			b := plug(t, small("MJPG"), Camera{})
			return b.driver, b
		},
		Picture:     portrait(),
		Size:        image.Pt(320, 240),
		Check:       check,
		OpenStages:  []string{uvc.StageProbe},
		FrameStages: []string{uvc.StageCommit, uvc.StagePicture},
		Mended:      []string{uvc.Garbage, uvc.PadPicture, uvc.CutSome, uvc.MarkSome, uvc.StallOnce},
		Fatal: []string{
			uvc.Silent, uvc.Stall, uvc.Refuse, uvc.CutAll, uvc.Nonsense, uvc.OtherSize, uvc.Endless, uvc.ShortHeads,
		},
		Streams: true,
	})
}

// open opens the camera of a bench until the end of the test.
func (b *bench) open(t testing.TB) driver.Scanner {
	t.Helper()
	s, err := b.driver.Open(t.Context(), b.info(t).Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (b *bench) info(t testing.TB) driver.Info {
	t.Helper()
	infos, err := b.driver.Probe(t.Context())
	if err != nil || len(infos) != 1 {
		t.Fatalf("probe: %v, %v; want one camera", infos, err)
	}
	return infos[0]
}

// take returns the next n frames.
func take(t testing.TB, s driver.Scanner, n int) []driver.Frame {
	t.Helper()
	var frames []driver.Frame
	for f, err := range s.Frames(t.Context(), driver.Target{}) {
		if err != nil {
			t.Fatalf("frame %d: %v", len(frames)+1, err)
		}
		if frames = append(frames, f); len(frames) == n {
			break
		}
	}
	return frames
}

// Every format that a camera may have comes out as what was before the lens:
// colour for faces, grey for eyes.
func TestHardwareFormats(t *testing.T) {
	for _, format := range []string{"YUYV", "GREY", "Y8I", "Y10", "Y12", "Y16", "MJPG"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			b := plug(t, small(format), Camera{Type: "iris"})
			b.Show(portrait())
			f := take(t, b.open(t), 1)[0]
			if _, grey := f.Image.(*image.Gray); !grey || f.Image.Bounds().Size() != image.Pt(320, 240) {
				t.Errorf("a frame is %T of %v", f.Image, f.Image.Bounds())
			}
			check(t, f)
		})
	}
	t.Run("YUYV in colour", func(t *testing.T) {
		t.Parallel()
		b := plug(t, small("YUYV"), Camera{})
		b.Show(portrait())
		f := take(t, b.open(t), 1)[0]
		img, colour := f.Image.(*image.RGBA)
		if !colour {
			t.Fatalf("a frame is %T", f.Image)
		}
		check(t, f)
		got, want := img.RGBAAt(160, 120), portrait().RGBAAt(100, 100)
		for _, d := range []int{int(got.R) - int(want.R), int(got.G) - int(want.G), int(got.B) - int(want.B)} {
			if d < -12 || d > 12 {
				t.Errorf("the pixel in the middle is %v, want %v", got, want)
			}
		}
	})
}

// What the kernel tells of a camera.
func TestHardwareInfo(t *testing.T) {
	b := plug(t, uvc.Camera{Make: "Maker", Model: "Model", Modes: []uvc.Mode{
		{Format: "YUYV", Width: 320, Height: 240}, {Format: "MJPG", Width: 320, Height: 240}, {Format: "MJPG", Width: 640, Height: 480},
	}}, Camera{})
	info := b.info(t)
	if info.Make != "Maker" || info.Model != "Model" || info.Serial != b.Serial() || info.Firmware != "1.00" {
		t.Errorf("make %q, model %q, serial %q, firmware %q", info.Make, info.Model, info.Serial, info.Firmware)
	}
	want := []driver.Geometry{{Width: 640, Height: 480, Depth: 8}, {Width: 320, Height: 240, Depth: 8}}
	if !slices.Equal(info.Abilities.Native, want) || !info.Abilities.Streams {
		t.Errorf("abilities %+v; want %v", info.Abilities, want)
	}
	if !strings.HasPrefix(info.Path, "usb:") {
		t.Errorf("path %q", info.Path)
	}
	if got := take(t, b.open(t), 1)[0].Image.Bounds().Size(); got != image.Pt(640, 480) {
		t.Errorf("a frame of %v; the largest is 640x480", got)
	}
}

// Two cameras of one type are two scanners, and film at once.
func TestHardwareTwoAtOnce(t *testing.T) {
	var all sync.WaitGroup
	paths := map[string]bool{}
	for range 2 {
		b := plug(t, small("MJPG"), Camera{})
		b.Show(portrait())
		paths[b.info(t).Path] = true
		s := b.open(t)
		all.Go(func() {
			n := 0
			for _, err := range s.Frames(t.Context(), driver.Target{}) {
				if n++; err != nil {
					t.Error(err)
				}
				if n == 20 {
					break
				}
			}
		})
	}
	all.Wait()
	if len(paths) != 2 {
		t.Errorf("two cameras are in one socket: %v", paths)
	}
}

// lit is the emitter's value that has every other picture taken with light.
const lit = "010302000000000000"

// A near-infrared camera has its light on while pictures are wanted, and not
// longer. Pictures without light are dropped.
func TestHardwareEmitter(t *testing.T) {
	camera := small("GREY")
	camera.Emitter = true
	b := plug(t, camera, Camera{Type: "iris", Emitter: lit, Alternate: true})
	b.Show(portrait())
	s := b.open(t)
	if b.Lit() {
		t.Error("the light is on before pictures are wanted")
	}
	for i, f := range take(t, s, 4) {
		if m := mean(f.Image); m < 30 {
			t.Errorf("picture %d is dark: mean %.0f", i, m)
		}
	}
	if b.Lit() {
		t.Error("the light stays on")
	}
	for _, err := range s.Frames(t.Context(), driver.Target{}) {
		if err != nil {
			t.Fatal(err)
		}
		if !b.Lit() {
			t.Error("the light is not on again")
		}
		break
	}

	without := plug(t, small("GREY"), Camera{Type: "iris", Emitter: lit})
	if s, err := without.driver.Open(t.Context(), without.info(t).Addr); err == nil {
		s.Close()
		t.Error("a camera without an emitter was opened with one configured")
	}
}

// A camera that loses its configuration, as over a suspend, is gone while it is
// open; with it back it works again.
func TestHardwareDetach(t *testing.T) {
	b := plug(t, small("MJPG"), Camera{})
	info := b.info(t)
	s := b.open(t)
	n := 0
	var err error
	for _, err = range s.Frames(t.Context(), driver.Target{}) {
		if n++; n == 3 {
			if err := b.authorize(info, "0"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !errors.Is(err, driver.ErrRemoved) {
		t.Errorf("detached after 3 frames: %d frames, then %v", n, err)
	}
	s.Close()
	if err := b.authorize(info, "1"); err != nil {
		t.Fatal(err)
	}
	if again := b.info(t); again.Addr != info.Addr {
		t.Errorf("back again it is at %s; it was at %s", again.Addr, info.Addr)
	}
	take(t, b.open(t), 1)
}

// asOther makes this test program another one that opens a camera: its value is
// the serial number.
const asOther = "SBID_TEST_OPENS"

func TestMain(m *testing.M) {
	serial := os.Getenv(asOther)
	if serial == "" {
		goleak.VerifyTestMain(m)
		return
	}
	d, err := New(Config{Cameras: []Camera{{Serial: serial}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	infos, err := d.Probe(context.Background())
	if err != nil || len(infos) != 1 {
		fmt.Println("probe", infos, err)
		return
	}
	s, err := d.Open(context.Background(), infos[0].Addr)
	if err != nil {
		fmt.Println("permission:", errors.Is(err, driver.ErrPermission), err)
		return
	}
	fmt.Println("open")
	_, _ = bufio.NewReader(os.Stdin).ReadByte() // until the test has seen it
	s.Close()
}

// other starts another program that opens the camera and returns what it says.
func (b *bench) other(t *testing.T, uid uint32) (says string, end func()) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other := exec.CommandContext(t.Context(), exe)
	other.Env = append(os.Environ(), asOther+"="+b.Serial())
	other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	says, _ = bufio.NewReader(out).ReadString('\n')
	return says, func() {
		in.Close()
		if err := other.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// A camera that another program has is held, by name, and free after that.
func TestHardwareHeld(t *testing.T) {
	b := plug(t, small("MJPG"), Camera{})
	addr := b.info(t).Addr
	says, end := b.other(t, 0)
	if says != "open\n" {
		t.Fatalf("the other program says %q", says)
	}
	s, err := b.driver.Open(t.Context(), addr)
	if !errors.Is(err, driver.ErrHeld) || !strings.Contains(err.Error(), "test (pid ") {
		t.Errorf("open of a camera that another program has: %v", err)
	}
	if err == nil {
		s.Close()
	}
	end()
	take(t, b.open(t), 1)
}

// Without permission the camera is listed, and opening says what is missing.
func TestHardwarePermission(t *testing.T) {
	b := plug(t, small("MJPG"), Camera{})
	says, end := b.other(t, 65534)
	end()
	if !strings.HasPrefix(says, "permission: true") || !strings.Contains(says, "group video") {
		t.Errorf("as nobody: %q", says)
	}
}

// The kernel's events are noticed: one for a plug, one for an unplug.
func TestHardwareWatch(t *testing.T) {
	b := plug(t, small("MJPG"), Camera{})
	ctx, stop := context.WithCancel(t.Context())
	changed, done := make(chan struct{}, 10), make(chan struct{})
	go func() {
		defer close(done)
		b.driver.Watch(ctx, func() { changed <- struct{}{} })
	}()
	seen := func(what string) {
		t.Helper()
		select {
		case <-changed:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s is not noticed", what)
		}
	}
	seen("the beginning")
	b.Unplug()
	seen("an unplug")
	if err := b.Plug(); err != nil {
		t.Fatal(err)
	}
	seen("a plug")
	stop()
	<-done
}

// Cameras that nobody asks for pictures cost nothing: they are open, watched, and
// probed once a second.
func TestHardwareIdle(t *testing.T) {
	const cameras, watched = 5, 3 * time.Second
	for range cameras {
		b := plug(t, small("MJPG"), Camera{})
		b.open(t)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.driver.Watch(ctx, func() {})
		}()
		t.Cleanup(func() {
			stop()
			<-done
		})
	}
	before := processorTime(t)
	<-time.After(watched)
	used := processorTime(t) - before
	t.Logf("%d cameras, open and watched, use %.2f %% of a processor", cameras, 100*used.Seconds()/watched.Seconds())
	if used > watched/20 {
		t.Errorf("nothing was asked of them, and %v of processor time went in %v", used, watched)
	}
}

func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// How often cameras come and go: several at the same time, taken off the bus by
// the kernel and put back, which is the same for a driver and spares the half
// second of enumeration; then one whose cable is pulled in the middle of a stream.
const (
	comers = 4
	taken  = 45 // times each
	pulled = 20
)

// Nothing stays behind of cameras that come and go, 200 times: no descriptor, no
// goroutine, no memory of them.
func TestHardwarePlugCycles(t *testing.T) {
	camera := small("MJPG")
	camera.Rate = 60
	var benches []*bench
	for range comers {
		benches = append(benches, plug(t, camera, Camera{}))
	}
	// Of no use to the driver, and much of the work of a plug.
	udev(t, "--stop-exec-queue")
	t.Cleanup(func() { udev(t, "--start-exec-queue") })
	cycles := func(b *bench, n int, pull bool) {
		for i := range n {
			if err := b.cycle(t.Context(), pull); err != nil {
				t.Errorf("camera %s, cycle %d, pulled %v: %v", b.Serial(), i, pull, err)
				return
			}
		}
	}
	for _, b := range benches {
		cycles(b, 1, false)
	}
	routines, files := goleak.IgnoreCurrent(), descriptors(t)
	var all sync.WaitGroup
	for _, b := range benches {
		all.Go(func() { cycles(b, taken, false) })
	}
	all.Wait()
	cycles(benches[0], pulled, true)
	if now := descriptors(t); now > files {
		t.Errorf("%d descriptors are open, %d were", now, files)
	}
	for _, b := range benches {
		b.Unplug()
		b.await(t, 0)
		b.driver.mu.Lock()
		if len(b.driver.seen) > 0 || len(b.driver.lanes) > 2 {
			t.Errorf("a driver remembers %d nodes and %d places of one camera", len(b.driver.seen), len(b.driver.lanes))
		}
		b.driver.mu.Unlock()
	}
	if err := goleak.Find(routines); err != nil {
		t.Error(err)
	}
}

// cycle uses the camera and has it go and come back.
func (b *bench) cycle(ctx context.Context, pull bool) error {
	infos, err := b.driver.Probe(ctx)
	if err != nil || len(infos) != 1 {
		return fmt.Errorf("%d cameras, %w", len(infos), err)
	}
	s, err := b.driver.Open(ctx, infos[0].Addr)
	if err != nil {
		return err
	}
	n := 0
	for _, err = range s.Frames(ctx, driver.Target{}) {
		if n++; !pull {
			break
		}
		if n == 2 {
			go b.Twin.Unplug()
		}
	}
	s.Close()
	if n == 0 || err != nil && !(pull && errors.Is(err, driver.ErrRemoved)) {
		return fmt.Errorf("%d frames, %w", n, err)
	}
	if pull {
		b.Unplug()
		return b.Plug()
	}
	if err := b.authorize(infos[0], "0"); err != nil {
		return err
	}
	return b.authorize(infos[0], "1")
}

// udev has the daemon that manages nodes do something.
func udev(t *testing.T, what string) {
	t.Helper()
	if out, err := exec.Command("udevadm", "control", what).CombinedOutput(); err != nil {
		t.Fatalf("udevadm control %s: %v\n%s", what, err, out)
	}
}

// authorize has the kernel take a camera off the bus (0) or put it back (1), and
// waits until the driver sees it.
func (b *bench) authorize(info driver.Info, value string) error {
	path := "/sys/bus/usb/devices/" + strings.TrimPrefix(info.Path, "usb:") + "/authorized"
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		return err
	}
	return b.see(int(value[0] - '0'))
}

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
