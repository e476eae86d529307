package doctor

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"sbid/cmd/sbid/internal/control"
	"sbid/cmd/sbid/internal/station"
	"sbid/sbi"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// well is a machine on which nothing is wrong.
func well() station.Status {
	return station.Status{
		Version: "1.0", Running: true, Level: "L0", Roots: true, Endpoints: map[sbi.Purpose]string{sbi.Registration: "http://127.0.0.1:4501"},
		Keys: station.KeyStatus{Store: "tpm", Where: "/dev/tpmrm0"},
		Scanners: []station.ScannerStatus{{
			ID: "uru4000:1", Make: "DigitalPersona", Model: "U.are.U 4500", State: "idle",
			Devices: []station.DeviceStatus{{
				Name: "a", Serial: "SERIAL000001", Purpose: sbi.Registration, SubType: "Single",
				Certificate: station.CertificateStatus{Issuer: "Example", Issued: now.AddDate(0, -1, 0), Expires: now.AddDate(0, 3, 0)},
			}},
		}},
	}
}

func TestNothingWrong(t *testing.T) {
	findings := Examine(well(), now)
	if Worst(findings) != OK {
		t.Errorf("%+v", findings)
	}
	var out bytes.Buffer
	if err := Print(&out, findings); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"http://127.0.0.1:4501", "/dev/tpmrm0", "U.are.U 4500 (uru4000:1) is idle", "SERIAL000001", "2026-08-01"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
}

// Each thing that can be wrong is said, with what to do about it.
func TestWhatIsWrong(t *testing.T) {
	certificate := func(s *station.Status) *station.CertificateStatus { return &s.Scanners[0].Devices[0].Certificate }
	for name, tt := range map[string]struct {
		spoil  func(*station.Status)
		worst  Severity
		text   string
		advice string
	}{
		"not running":   {func(s *station.Status) { s.Running = false }, Fault, "not running", "systemctl start sbid"},
		"keys in files": {func(s *station.Status) { s.Keys = station.KeyStatus{Store: "file", Where: "/x"} }, Warning, "for development only", "TPM on"},
		"no TPM":        {func(s *station.Status) { s.Keys.Trouble = station.Trouble{Kind: "other", Text: "no TPM 2.0 found"} }, Fault, "no TPM 2.0 found", "group tss"},
		"no scanner":    {func(s *station.Status) { s.Scanners = nil }, Fault, "no scanner", "plug one in"},
		"held": {func(s *station.Status) {
			s.Scanners[0].Trouble = station.Trouble{Kind: "held", Text: "held by fprintd (pid 7)"}
		}, Fault, "fprintd (pid 7)", "close that program"},
		"no permission": {func(s *station.Status) {
			s.Scanners[0].Trouble = station.Trouble{Kind: "permission", Text: "no permission"}
		}, Fault, "no permission", "udev rule"},
		"no libusb": {func(s *station.Status) {
			s.Drivers = map[string]station.Trouble{"uru4000": {Kind: "unavailable", Text: "libusb-1.0 is not installed"}}
		}, Warning, "uru4000: libusb-1.0", "install"},
		"no role": {func(s *station.Status) { s.Scanners[0].Devices = nil }, Note, "no role", ""},
		"no certificate": {func(s *station.Status) {
			certificate(s).Trouble = station.Trouble{Kind: "not provisioned", Text: "never provisioned"}
		}, Fault, "never provisioned", "sbid provision"},
		"expired": {func(s *station.Status) {
			certificate(s).Trouble = station.Trouble{Kind: "expired", Text: "certificate expired"}
		}, Fault, "certificate expired", "sbid rotate"},
		"ends soon": {func(s *station.Status) { certificate(s).Expires = now.AddDate(0, 0, 9) }, Warning, "9 days", "--requests"},
		"renews": {func(s *station.Status) {
			certificate(s).Expires, certificate(s).Renews = now.AddDate(0, 0, 9), true
		}, Warning, "9 days", "renewed by itself"},
		"lives for two days": {func(s *station.Status) {
			certificate(s).Issued, certificate(s).Expires = now.Add(-36*time.Hour), now.Add(12*time.Hour)
		}, Warning, "12 hours", "--requests"},
		"lives for two days, and is new": {func(s *station.Status) {
			certificate(s).Issued, certificate(s).Expires = now, now.Add(48*time.Hour)
		}, OK, "until 2026-05-03", ""},
		"imported, and ends soon": {func(s *station.Status) {
			certificate(s).Imported, certificate(s).Expires = true, now.AddDate(0, 0, 9)
		}, Warning, "9 days", "--requests"},
		"no roots": {func(s *station.Status) { s.Roots = false }, Warning, "any issuer", "device-roots"},
		"imported": {func(s *station.Status) { certificate(s).Imported = true }, Warning, "came from outside", "sbid rotate"},
		"trust module": {func(s *station.Status) {
			s.FTM = &station.CertificateStatus{Trouble: station.Trouble{Kind: "key lost", Text: "key is lost"}}
		}, Fault, "key is lost", "sbid provision"},
		"no MOSIP": {func(s *station.Status) {
			s.Auth = &station.CertificateStatus{Trouble: station.Trouble{Kind: "other", Text: "none was fetched"}}
		}, Fault, "none was fetched", "check the network"},
		"audit": {func(s *station.Status) { s.Audit = station.Trouble{Kind: "other", Text: "no space"} }, Warning, "no space", "sbid audit verify"},
		"MOSIP's file ends soon": {func(s *station.Status) {
			s.Auth = &station.CertificateStatus{Thumbprint: "AB", Expires: now.AddDate(0, 0, 2)}
		}, Warning, "2 days", "replace the file"},
		"awaited": {func(s *station.Status) { s.Waiting = []string{"SERIAL000009"} }, Note, "SERIAL000009", "--import"},
		"MOSIP ends soon": {func(s *station.Status) {
			s.Auth = &station.CertificateStatus{Thumbprint: "AB", Expires: now.AddDate(0, 0, 2), Renews: true}
		}, Warning, "2 days", "fetched again"},
	} {
		s := well()
		tt.spoil(&s)
		findings := Examine(s, now)
		if got := Worst(findings); got != tt.worst {
			t.Errorf("%s: %s, want %s", name, got, tt.worst)
		}
		found := false
		for _, f := range findings {
			found = found || strings.Contains(f.Text, tt.text) && strings.Contains(f.Advice, tt.advice)
		}
		if !found {
			t.Errorf("%s: nothing with %q and %q in %+v", name, tt.text, tt.advice, findings)
		}
	}
}

func TestFolderAndClock(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" {
		if f := folder(dir); len(f) == 0 || f[0].Severity != Warning || !strings.Contains(f[0].Advice, "chmod 700") {
			t.Errorf("a folder that others may read: %+v", f)
		}
	}
	if f := folder(filepath.Join(dir, "none")); len(f) != 1 || f[0].Severity != Note {
		t.Errorf("no folder: %+v", f)
	}
	if f := clock(time.Now()); f.Severity == Fault {
		t.Errorf("today: %+v", f)
	}
	if built := buildTime(); !built.IsZero() {
		if f := clock(built.AddDate(-1, 0, 0)); f.Severity != Fault {
			t.Errorf("a year before this program was made: %+v", f)
		}
	}
}

// Whoever works in a folder of another user is told so.
func TestFolderOfAnotherUser(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("owners are known on Linux only")
	}
	dir := t.TempDir()
	if f := belongs(dir, false); len(f) != 0 {
		t.Errorf("a folder of our own: %+v", f)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can give a folder away")
	}
	socket := control.Path(dir)
	if err := errors.Join(os.WriteFile(socket, nil, 0o600), os.Chown(dir, 7, 7)); err != nil {
		t.Fatal(err)
	}
	for _, running := range []bool{false, true} {
		if f := belongs(dir, running); len(f) != 1 || f[0].Severity != Warning || !strings.Contains(f[0].Text, "belongs to user 7, and user 0") {
			t.Errorf("a folder of another user: %+v", f)
		}
	}
	if err := os.Chown(socket, 7, 7); err != nil {
		t.Fatal(err)
	}
	if f := belongs(dir, true); len(f) != 0 { // whoever asks
		t.Errorf("the folder of the user that the service runs as: %+v", f)
	}
}

// A port that another program holds is named with the program.
func TestTakenPort(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil && address == "[::]:0" {
			t.Skip("no IPv6 here")
		}
		takenPort(t, l, err)
	}
}

func takenPort(t *testing.T, l net.Listener, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal(errors.New("no TCP address"))
	}
	findings := ports(t.Context(), address.Port, address.Port, nil)
	if len(findings) != 1 {
		t.Fatalf("%+v", findings)
	}
	if runtime.GOOS == "linux" && !strings.Contains(findings[0].Text, fmt.Sprintf("(pid %d)", os.Getpid())) {
		t.Errorf("%+v does not name this process", findings[0])
	}
	if findings := ports(t.Context(), address.Port, address.Port, []int{address.Port}); len(findings) != 0 {
		t.Errorf("a port of our own: %+v", findings)
	}
}
