package attest

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"sbid/attest/internal/statedir"
)

var machineIDForm = regexp.MustCompile(`^[A-Z0-9]{16}$`)

// MachineID reads the identifier in the file at path, or draws one and writes
// it there: 16 upper-case letters and digits. Serial numbers are made of it
// where a scanner has none, so whoever removes the file has other devices.
func MachineID(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		id := strings.TrimSpace(string(text))
		if !machineIDForm.MatchString(id) {
			return "", fmt.Errorf("read %s: expected 16 upper-case letters and digits", path)
		}
		return id, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	var b [10]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("make %s: %w", path, err)
	}
	id := base32.StdEncoding.EncodeToString(b[:])
	return id, statedir.WriteFile(path, []byte(id+"\n"), 0o644)
}
