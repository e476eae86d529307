package statedir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Clean removes from dir what interrupted calls of WriteFile left behind.
func Clean(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), temporary) {
			continue
		}
		if err := Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("clean up: %w", err)
		}
	}
	return nil
}
