//go:build linux

package evidence

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
)

func TestReplayEventLog(t *testing.T) {
	locality := event{0, eventNoAction, append(bytes.Clone(startupLocalitySignature), 3)}
	firmware := event{0, 1, []byte("firmware")}
	digest := sha256.Sum256(firmware.data)
	started := [32]byte{31: 3}
	for name, test := range map[string]struct {
		log        []byte
		pcr0       [32]byte
		secureBoot string
	}{
		"one event":        {writeLog(firmware), sha256.Sum256(slices.Concat(make([]byte, 32), digest[:])), ""},
		"started at 3":     {writeLog(locality, firmware), sha256.Sum256(slices.Concat(started[:], digest[:])), ""},
		"secure boot":      {writeLog(secureBootEvent(true)), [32]byte{}, "on"},
		"no secure boot":   {writeLog(secureBootEvent(false)), [32]byte{}, "off"},
		"said later":       {writeLog(secureBootEvent(false), secureBootEvent(true)), [32]byte{}, "off"},
		"said too late":    {writeLog(event{secureBootPCR, 4, nil}, secureBootEvent(true)), [32]byte{}, ""},
		"another variable": {writeLog(event{secureBootPCR, eventVariableConfig, []byte("PK")}), [32]byte{}, ""},
		"nothing":          {writeLog(), [32]byte{}, ""},
	} {
		log, err := replayEventLog(test.log)
		if err != nil || log.registers[0] != test.pcr0 || log.secureBoot != test.secureBoot {
			t.Errorf("%s: %+v, %v", name, log, err)
		}
	}
	// The digest is of another state than the event tells.
	lie := writeLog(secureBootEvent(false))
	lie[len(lie)-1] = 1
	if log, err := replayEventLog(lie); err != nil || log.secureBoot != "" {
		t.Errorf("believed a lie: %+v, %v", log, err)
	}
}

func TestReplayEventLogRefuses(t *testing.T) {
	good := writeLog(event{0, 1, []byte("firmware")})
	for name, test := range map[string]struct {
		log  []byte
		want string
	}{
		"nothing":           {nil, "cut short"},
		"cut short":         {good[:len(good)-1], "cut short"},
		"of TPM 1.2":        {bytes.Replace(good, []byte("Event03"), []byte("Event02"), 1), "not in the form"},
		"no SHA-256":        {bytes.Replace(good, []byte{algSHA256, 0, 32, 0}, []byte{0x0C, 0, 48, 0}, 1), "no SHA-256"},
		"unknown algorithm": {bytes.Replace(good, []byte{2, 0, 0, 0, 4, 0, 0}, []byte{2, 0, 0, 0, 5, 0, 0}, 1), "unknown algorithm"},
		"register 24":       {writeLog(event{24, 1, nil}), "register 24"},
	} {
		if _, err := replayEventLog(test.log); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReplayEventLog(f *testing.F) {
	f.Add(writeLog(event{0, 1, []byte("firmware")}, secureBootEvent(true)))
	f.Fuzz(func(t *testing.T, data []byte) {
		log, err := replayEventLog(data)
		// An event has 16 bytes at least, and each is in one register.
		if err == nil && (log.events*16 > len(data) || len(log.registers) > log.events) {
			t.Errorf("%d events, %d registers of %d bytes", log.events, len(log.registers), len(data))
		}
	})
}
