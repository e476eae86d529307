package statedir

import (
	"fmt"
	"io"
	"os"
	"runtime"
)

// maxSecret bounds a file of a secret; keys in PEM have a few thousand bytes.
const maxSecret = 1 << 20

// ReadSecret reads a file that is nobody else's business. On systems with Unix
// permissions it refuses a file that others than its owner may read or write.
func ReadSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return nil, fmt.Errorf("%s: mode %04o lets others in, run chmod 600 on it", path, mode)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err == nil && len(b) > maxSecret {
		err = fmt.Errorf("%s: longer than %d bytes", path, maxSecret)
	}
	if err != nil {
		clear(b)
		return nil, err
	}
	return b, nil
}
