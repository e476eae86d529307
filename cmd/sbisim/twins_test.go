package main

import (
	"bufio"
	"bytes"
	"context"
	"image"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sbid/driver"
	"sbid/simulator"
)

// runTwins starts sbisim with twins until the test ends, and returns what it
// prints.
func runTwins(t *testing.T, args ...string) *bufio.Scanner {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	var stderr lockedBuffer
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, args, in, &stderr)
		in.CloseWithError(io.EOF)
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		out.Close()
		if err := <-ended; err != nil {
			t.Errorf("sbisim %v: %v", args, err)
		}
	})
	return bufio.NewScanner(out)
}

// fails returns what sbisim says when it ends by itself.
func fails(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := run(ctx, args, io.Discard, io.Discard)
	if err == nil {
		t.Fatalf("sbisim %v: no error", args)
	}
	return err.Error()
}

func TestHelpListsCommandsAndFlags(t *testing.T) {
	for args, want := range map[string][]string{
		"--help":        {"run", "usbip", "serial"},
		"run --help":    {"--state-dir", "--seed", "--tpm"},
		"usbip --help":  {"--listen", "--device", "--attach", "--finger"},
		"serial --help": {"--link", "--device", "--pace", "--hold"},
	} {
		var out bytes.Buffer
		if err := run(t.Context(), strings.Fields(args), &out, io.Discard); err != nil {
			t.Errorf("%s: %v", args, err)
		}
		for _, w := range want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%s does not tell of %s:\n%s", args, w, &out)
			}
		}
	}
}

// Flags without a command are those of the service.
func TestFlagsAloneMeanTheService(t *testing.T) {
	state := newState(t)
	bare := fails(t, "--state-dir", state, "--ports", "9-3")
	named := fails(t, "run", "--state-dir", state, "--ports", "9-3")
	if bare != named || !strings.Contains(bare, "9-3") {
		t.Errorf("without a command: %q; with run: %q", bare, named)
	}
}

func TestTwinsRefuse(t *testing.T) {
	for args, want := range map[string]string{
		"usbip --device r503":                 "uru4500",
		"usbip --finger left-iris":            "left-iris",
		"usbip --finger unknown-finger":       "unknown-finger",
		"usbip --hold 0s":                     "hold",
		"usbip --listen 256.0.0.1:1":          "--listen",
		"usbip --state-dir x":                 "state-dir",
		"serial --device r503":                "--link",
		"serial --link x":                     "--device",
		"serial --device uru4500 --link x":    "r503",
		"serial --device r503 --link x -p -1": "-p",
	} {
		if got := fails(t, strings.Fields(args)...); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want something about %s", args, got, want)
		}
	}
}

// A visit is what was shown to a window, and when.
type visit struct {
	after   time.Duration
	picture image.Image
}

type diary struct {
	start  time.Time
	visits []visit
}

func (d *diary) Show(picture image.Image) {
	d.visits = append(d.visits, visit{time.Since(d.start), picture})
}

// Fingers and faces come and go together, differently each time.
func TestTwinsSeeTheRhythm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
		defer cancel()
		r := rhythm{Seed: 3, Finger: "left-middle", Hold: 3 * time.Second, Pause: 2 * time.Second}
		fingers, faces := &diary{start: time.Now()}, &diary{start: time.Now()}
		r.play(ctx, []window{fingers}, []window{faces})
		for _, d := range []*diary{fingers, faces} {
			if len(d.visits) != 4 {
				t.Fatalf("%d times something was shown, want 4", len(d.visits))
			}
			for i, want := range []time.Duration{0, 3 * time.Second, 5 * time.Second, 8 * time.Second} {
				if v := d.visits[i]; v.after != want || (v.picture == nil) != (i%2 == 1) {
					t.Errorf("visit %d after %v, lifted: %v; want %v", i, v.after, v.picture == nil, want)
				}
			}
		}
		first := simulator.NewPerson(3).Finger(driver.LeftMiddle, simulator.Impression{})
		if got := fingers.visits[0].picture.(*image.Gray); !bytes.Equal(got.Pix, first.Pix) {
			t.Error("another finger than that of person 3")
		}
		if got := fingers.visits[2].picture.(*image.Gray); bytes.Equal(got.Pix, first.Pix) {
			t.Error("the same picture twice")
		}
	})
}
