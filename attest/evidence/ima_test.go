//go:build linux

package evidence

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"
)

// imaEntry is an entry of the kernel's list, of the template ima-ng.
func imaEntry(file string) (entry, digest []byte) {
	contents := sha256.Sum256([]byte(file))
	hash, path := append([]byte("sha256:\x00"), contents[:]...), append([]byte(file), 0)
	number := binary.LittleEndian.AppendUint32
	template := append(number(nil, uint32(len(hash))), hash...)
	template = append(number(template, uint32(len(path))), path...)
	name := []byte("ima-ng")
	sum := sha1.Sum(template)
	entry = append(number(nil, imaPCR), sum[:]...)
	entry = append(number(entry, uint32(len(name))), name...)
	entry = append(number(entry, uint32(len(template))), template...)
	extended := sha256.Sum256(template)
	return entry, extended[:]
}

// measure measures a file as the kernel does, and returns its list.
func (m *machine) measure(t testing.TB, file string) []byte {
	t.Helper()
	entry, digest := imaEntry(file)
	m.extend(t, imaPCR, digest)
	return entry
}

func TestReplayIMA(t *testing.T) {
	one, first := imaEntry("one")
	two, second := imaEntry("two")
	spoilt := bytes.Clone(two)
	clear(spoilt[4:24])
	want := func(digests ...[]byte) [32]byte {
		var value [32]byte
		for _, digest := range digests {
			value = sha256.Sum256(slices.Concat(value[:], digest))
		}
		return value
	}
	otherPCR := bytes.Clone(one)
	otherPCR[0] = 11
	for name, test := range map[string]struct {
		list []byte
		want [32]byte
		bad  bool
	}{
		"nothing":            {nil, [32]byte{}, false},
		"two":                {slices.Concat(one, two), want(first, second), false},
		"a violation":        {slices.Concat(one, spoilt), want(first, bytes.Repeat([]byte{0xFF}, 32)), false},
		"cut short":          {one[:len(one)-1], [32]byte{}, true},
		"another register":   {otherPCR, [32]byte{}, true},
		"changed data":       {append(bytes.Clone(one[:len(one)-2]), 'x', 0), [32]byte{}, true},
		"an endless name":    {append(bytes.Clone(one[:24]), 0xFF, 0xFF, 0xFF, 0xFF), [32]byte{}, true},
		"of an old template": {bytes.Replace(one, []byte("\x06\x00\x00\x00ima-ng"), []byte("\x03\x00\x00\x00ima"), 1), [32]byte{}, true},
	} {
		got, _, err := replayIMA(test.list)
		if (err != nil) != test.bad || !test.bad && got != test.want {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
}

func FuzzReplayIMA(f *testing.F) {
	entry, _ := imaEntry("file")
	f.Add(entry)
	f.Fuzz(func(t *testing.T, data []byte) {
		// Twice the same is the same, and an entry has 32 bytes at least.
		one, entries, err := replayIMA(data)
		two, _, _ := replayIMA(data)
		if one != two || err == nil && entries*32 > len(data) {
			t.Errorf("%d entries of %d bytes, %v", entries, len(data), err)
		}
	})
}
