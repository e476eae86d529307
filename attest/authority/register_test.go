package authority

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"sbid/attest/internal/akcert"
)

func TestParseRegister(t *testing.T) {
	ek := strings.Repeat("0f", 32)
	tests := map[string]struct {
		text string
		want []Device
		err  string
	}{
		"empty": {`{"devices":[]}`, []Device{}, ""},
		"written by hand": {
			`{"devices":[{"serialNo":"A1","name":"Desk 1","make":"Acme","model":"X","ek":"` + strings.ToUpper(ek) + `","ekCertificate":"00:AB:01"}]}`,
			[]Device{{Serial: "A1", Name: "Desk 1", Make: "Acme", Model: "X", EK: ek, EKCertificate: "ab01"}}, "",
		},
		"blocked without a TPM":   {`{"devices":[{"serialNo":"A1","blocked":true}]}`, []Device{{Serial: "A1", Blocked: true}}, ""},
		"misspelt":                {`{"devices":[{"serialNo":"A1","ek":"` + ek + `","blokced":true}]}`, nil, "blokced"},
		"no TPM":                  {`{"devices":[{"serialNo":"A1"}]}`, nil, "nothing says which TPM"},
		"twice":                   {`{"devices":[{"serialNo":"A1","blocked":true},{"serialNo":"A1","blocked":true}]}`, nil, "twice"},
		"no serial number":        {`{"devices":[{"ek":"` + ek + `"}]}`, nil, "letters and digits"},
		"serial number of a path": {`{"devices":[{"serialNo":"../A1","ek":"` + ek + `"}]}`, nil, "letters and digits"},
		"hash cut short":          {`{"devices":[{"serialNo":"A1","ek":"0f"}]}`, nil, "ek is not a SHA-256"},
		"token in clear":          {`{"devices":[{"serialNo":"A1","token":"secret"}]}`, nil, "token is not a SHA-256"},
		"number in words":         {`{"devices":[{"serialNo":"A1","ekCertificate":"one"}]}`, nil, "not a serial number"},
		"number zero":             {`{"devices":[{"serialNo":"A1","ekCertificate":"00"}]}`, nil, "zero"},
		"cut short":               {`{"devices":[`, nil, "unexpected EOF"},
		"two registers":           {`{"devices":[]}{"devices":[]}`, nil, "after its end"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseRegister([]byte(tt.text))
			if tt.err == "" {
				if err != nil || !reflect.DeepEqual(got.Devices, tt.want) {
					t.Errorf("got %+v, %v, want %+v", got.Devices, err, tt.want)
				}
			} else if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v does not say %q", err, tt.err)
			}
		})
	}
}

// Edits of the register count from the next call on; a damaged one stops
// everything, whatever it said before.
func TestRegisterIsReadAgain(t *testing.T) {
	m := newMachine(t)
	a := newAuthority(t, nil)
	ask := func() int {
		t.Helper()
		status, _ := call(a, akcert.AttestPath, m.request, nil)
		return status
	}
	if status := ask(); status != http.StatusForbidden {
		t.Errorf("not registered: %d", status)
	}
	writeRegister(t, a.register.path, Device{Serial: deviceA, EK: m.hash})
	if status := ask(); status != http.StatusOK {
		t.Errorf("registered: %d", status)
	}
	// In place and of the same length: a file's times are coarse.
	text, err := os.ReadFile(a.register.path)
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), m.hash[:8], "00000000", 1))
	if err := os.WriteFile(a.register.path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if status := ask(); status != http.StatusForbidden {
		t.Errorf("registered for another TPM: %d", status)
	}
	if err := os.WriteFile(a.register.path, text[:len(text)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if status := ask(); status != http.StatusInternalServerError {
		t.Errorf("register cut short: %d", status)
	}
	if err := os.Remove(a.register.path); err != nil {
		t.Fatal(err)
	}
	if status := ask(); status != http.StatusInternalServerError {
		t.Errorf("no register: %d", status)
	}
}

func TestRegisterThatCannotBeWritten(t *testing.T) {
	a := newAuthority(t, nil, Device{Serial: deviceA, EKCertificate: "1"})
	// A directory where the new content is to be written.
	if err := os.MkdirAll(a.register.path+".tmp/full", 0o700); err != nil {
		t.Fatal(err)
	}
	if serials, err := a.register.enrol([]string{deviceA}, strings.Repeat("0f", 32)); err == nil {
		t.Errorf("enrolled %q without writing it down", serials)
	}
	if d := readRegister(t, a)[0]; d.EK != "" {
		t.Errorf("half written: %+v", d)
	}
}

// What is accepted can be written, and then is accepted as the same.
func FuzzRegister(f *testing.F) {
	f.Add([]byte(`{"devices":[{"serialNo":"A1","name":"Desk 1","ek":"` + strings.Repeat("0F", 32) + `","ekCertificate":"00:ab"}]}`))
	f.Add([]byte(`{"devices":[{"serialNo":"A1","blocked":true,"reason":"stolen"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseRegister(text)
		if err != nil {
			return
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseRegister(again); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%+v became %+v, %v", r, got, err)
		}
	})
}

// Many TPMs enrol while others are asked about: no entry of the register is
// lost.
func TestEnrolmentsAtOnce(t *testing.T) {
	const n = 16
	var devices []Device
	for i := range n {
		devices = append(devices, Device{Serial: fmt.Sprint("DEVICE", i), EKCertificate: fmt.Sprint(i + 1)})
	}
	a := newAuthority(t, nil, devices...)
	hash := func(i int) string { return hexHash(sha256.Sum256([]byte{byte(i)})) }
	var group sync.WaitGroup
	for i, d := range devices {
		group.Go(func() {
			if got, err := a.register.enrol([]string{d.Serial}, hash(i)); err != nil || !slices.Equal(got, []string{d.Serial}) {
				t.Errorf("%s: %q, %v", d.Serial, got, err)
			}
		})
		group.Go(func() {
			if known, err := a.register.read(); err != nil || len(known) != n {
				t.Errorf("%d devices, %v", len(known), err)
			}
		})
	}
	group.Wait()
	for i, d := range readRegister(t, a) {
		if d.EK != hash(i) {
			t.Errorf("%s has the TPM %q, want %q", d.Serial, d.EK, hash(i))
		}
	}
}
