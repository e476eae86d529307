package statedir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

func TestReadSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if _, err := ReadSecret(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
	for size, ok := range map[int]bool{0: true, 7: true, maxSecret: true, maxSecret + 1: false} {
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if b, err := ReadSecret(path); (err == nil) != ok || ok && len(b) != size {
			t.Errorf("%d bytes: got %d, %v", size, len(b), err)
		}
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o602: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSecret(path); (err == nil) != ok {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
}

func TestCreateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	made := make(chan string, 5)
	var wg sync.WaitGroup
	for _, text := range []string{"a", "b", "c", "d", "e"} {
		wg.Go(func() {
			switch err := CreateFile(path, []byte(text)); {
			case err == nil:
				made <- text
			case !errors.Is(err, fs.ErrExist):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(made)
	if len(made) != 1 {
		t.Fatalf("made %d times", len(made))
	}
	if b, err := ReadSecret(path); err != nil || string(b) != <-made {
		t.Errorf("%q, %v", b, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left %v, %v", entries, err)
	}
	if err := CreateFile(filepath.Join(path, "below"), nil); err == nil || errors.Is(err, fs.ErrExist) {
		t.Errorf("made below a file: %v", err)
	}
}
