//go:build linux

package evidence

import (
	"bytes"
	"crypto/sha256"
	"io/fs"
	"os"
	"reflect"
	"testing"
	"testing/fstest"
)

func TestReadMachine(t *testing.T) {
	file := func(content string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(content)} }
	for name, test := range map[string]struct {
		root fstest.MapFS
		want Machine
	}{
		"nothing": {fstest.MapFS{}, Machine{Absent: map[string]string{
			labelEventLog: "it is not where Linux keeps it", labelIMA: "it is not where Linux keeps it",
		}}},
		"everything": {fstest.MapFS{
			eventLogPath:   file("log"),
			imaPath:        file("list"),
			imaCountPath:   file("12\n"),
			lockdownPath:   file("none [integrity] confidentiality\n"),
			secureBootPath: file("\x06\x00\x00\x00\x01"),
		}, Machine{
			Host:     Host{SecureBoot: "enabled", Lockdown: "integrity", IMA: "12"},
			EventLog: []byte("log"), IMA: []byte("list"), Absent: map[string]string{},
		}},
		"switched off": {fstest.MapFS{
			eventLogPath:   file(""),
			imaPath:        {Data: make([]byte, maxLog+1)},
			lockdownPath:   file("\n"),
			secureBootPath: file("\x06\x00\x00\x00\x00"),
		}, Machine{
			Host:   Host{SecureBoot: "disabled"},
			Absent: map[string]string{labelEventLog: "it is empty", labelIMA: "it cannot be read"},
		}},
		"torn variable": {fstest.MapFS{eventLogPath: {Mode: fs.ModeDir}, secureBootPath: file("\x06")}, Machine{
			Absent: map[string]string{labelEventLog: "it cannot be read", labelIMA: "it is not where Linux keeps it"},
		}},
	} {
		if got := readMachine(test.root); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, got, test.want)
		}
	}
}

// A log that is for root alone is told from one that is not there.
func TestReadMachineOfRoot(t *testing.T) {
	m := readMachine(forbidden{})
	if why := m.Absent[labelEventLog]; why != "it is for root to read" {
		t.Errorf("says %q", why)
	}
}

type forbidden struct{}

func (forbidden) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

func TestProgramDigest(t *testing.T) {
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256(program)
	if got, err := ProgramDigest(); err != nil || !bytes.Equal(got[:], want[:]) {
		t.Errorf("got %s, %v, want %x", got, err, want)
	}
}
