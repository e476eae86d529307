//go:build cgo && linux

package imagecodec

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"syscall"
	"testing"
)

// resident returns how much memory the process holds, C and Go together.
func resident(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// Each path through OpenJPEG, successful or not, gives back its memory: what is
// least, a file of 40 kB, forgotten in each round would be more than is allowed.
func TestJP2DoesNotLeak(t *testing.T) {
	const rounds, allowed = 100, 2 << 20
	rough, smooth := noise(200, 200), face(160, 160)
	lossless, err := EncodeJP2(uniform(256, 256, 9), JP2Options{Lossless: true})
	if err != nil {
		t.Fatal(err)
	}
	noQuantisation := bytes.Clone(lossless)
	noQuantisation[bytes.Index(lossless, []byte{0xFF, 0x5C})+1] = 0x64
	f, err := parseJP2(lossless)
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]func() error{
		"encode":        func() error { _, err := EncodeJP2(rough, JP2Options{Lossless: true}); return err },
		"encode colour": func() error { _, err := EncodeJP2(smooth, JP2Options{Ratio: 12}); return err },
		"decode":        func() error { _, _, err := DecodeJP2(lossless); return err },
		"decode damaged headers": func() error {
			if _, _, err := DecodeJP2(noQuantisation); err == nil {
				return fmt.Errorf("no error")
			}
			return nil
		},
		"decode another size": func() error {
			_, px := newImage(255, 256, 1)
			if err := decodeCodestream(f.codestream, px, 2); err == nil {
				return fmt.Errorf("no error")
			}
			return nil
		},
	}
	for name, path := range paths {
		t.Run(name, func(t *testing.T) {
			run := func(n int) {
				for range n {
					if err := path(); err != nil {
						t.Fatal(err)
					}
				}
			}
			run(rounds / 4) // until the heaps have their size
			// A leak shows every time, the moods of two allocators do not.
			least := math.MaxInt
			for range 4 {
				before := resident(t)
				run(rounds)
				if least = min(least, resident(t)-before); least < allowed {
					return
				}
			}
			t.Errorf("%d rounds took %d kB for good", rounds, least>>10)
		})
	}
}

// A daemon's standard error is its log: OpenJPEG must not write there.
func TestJP2IsSilent(t *testing.T) {
	file, err := EncodeJP2(noise(64, 64), JP2Options{Lossless: true})
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var saved [2]int
	for i := range saved {
		if saved[i], err = syscall.Dup(i + 1); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Dup3(int(w.Fd()), i+1, 0); err != nil {
			t.Fatal(err)
		}
	}
	damaged := bytes.Clone(file)
	damaged[bytes.Index(file, []byte{0xFF, 0x5C})+1] = 0x64
	_, _, errDamaged := DecodeJP2(damaged)
	noisy := bytes.Clone(file)
	for i := len(noisy) / 2; i < len(noisy)-2; i++ {
		noisy[i] ^= 0x55
	}
	DecodeJP2(noisy)
	_, errTiny := EncodeJP2(noise(1, 1), JP2Options{Ratio: 15})
	for i := range saved {
		if err := syscall.Dup3(saved[i], i+1, 0); err != nil {
			t.Fatal(err)
		}
		syscall.Close(saved[i])
	}
	w.Close()
	said, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if len(said) > 0 {
		t.Errorf("printed %q", said)
	}
	if errDamaged == nil || errTiny != nil {
		t.Errorf("damaged: %v, tiny: %v", errDamaged, errTiny)
	}
}
