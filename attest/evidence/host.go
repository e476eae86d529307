package evidence

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A Machine is what can be read of how this machine was started.
type Machine struct {
	Host     Host
	EventLog []byte // of the firmware, in the form of TPM 2.0
	IMA      []byte // the kernel's list of measurements
	// Absent says why one of the two is missing, by label.
	Absent map[string]string
}

// Paths below the root of Linux's file system.
const (
	eventLogPath   = "sys/kernel/security/tpm0/binary_bios_measurements"
	imaPath        = "sys/kernel/security/ima/binary_runtime_measurements"
	imaCountPath   = "sys/kernel/security/ima/runtime_measurements_count"
	lockdownPath   = "sys/kernel/security/lockdown"
	secureBootPath = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
)

// ReadMachine reads it. What is not there or not for this user stays empty:
// the logs are for root alone.
func ReadMachine() Machine { return readMachine(os.DirFS("/")) }

func readMachine(root fs.FS) Machine {
	m := Machine{Absent: map[string]string{}}
	m.EventLog = m.log(root, labelEventLog, eventLogPath)
	m.IMA = m.log(root, labelIMA, imaPath)
	m.Host = Host{SecureBoot: secureBoot(root), Lockdown: lockdown(root)}
	if count, err := readAll(root, imaCountPath); err == nil {
		m.Host.IMA = strings.TrimSpace(string(count))
	}
	return m
}

func (m *Machine) log(root fs.FS, label, path string) []byte {
	data, err := readAll(root, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		m.Absent[label] = "it is not where Linux keeps it"
	case errors.Is(err, fs.ErrPermission):
		m.Absent[label] = "it is for root to read"
	case err != nil:
		m.Absent[label] = "it cannot be read"
	case len(data) == 0:
		m.Absent[label] = "it is empty"
	default:
		return data
	}
	return nil
}

// readAll reads a file of a system's that does not tell its size.
func readAll(root fs.FS, path string) ([]byte, error) {
	f, err := root.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxLog+1))
	if err == nil && len(data) > maxLog {
		err = fmt.Errorf("%s is longer than %d bytes", path, maxLog)
	}
	return data, err
}

// secureBoot reads the UEFI variable: four bytes of attributes and one of value.
func secureBoot(root fs.FS) string {
	variable, err := readAll(root, secureBootPath)
	switch {
	case err != nil || len(variable) != 5:
		return ""
	case variable[4] == 1:
		return "enabled"
	}
	return "disabled"
}

// lockdown reads the one of the choices that is in brackets.
func lockdown(root fs.FS) string {
	choices, err := readAll(root, lockdownPath)
	if err != nil {
		return ""
	}
	for word := range strings.FieldsSeq(string(choices)) {
		if chosen, ok := strings.CutPrefix(word, "["); ok {
			return strings.TrimSuffix(chosen, "]")
		}
	}
	return ""
}

// ProgramDigest returns the SHA-256 of this program's file. On Linux it is the
// file as it runs, even if another lies at its path by now.
func ProgramDigest() (Digest, error) {
	path := "/proc/self/exe"
	if _, err := os.Lstat(path); err != nil {
		if path, err = os.Executable(); err != nil {
			return Digest{}, fmt.Errorf("digest of the program: %w", err)
		}
	}
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return Digest{}, fmt.Errorf("digest of the program: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return Digest{}, fmt.Errorf("digest of the program: %w", err)
	}
	return Digest(h.Sum(nil)), nil
}
