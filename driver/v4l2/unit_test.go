package v4l2

import (
	"slices"
	"testing"
)

// video is a camera's video function: its control interface and an extension unit.
func video(number, unit byte, guid []byte, bits ...byte) []byte {
	b := []byte{9, descriptorInterface, number, 0, 0, videoClass, videoControl, 0, 0}
	b = append(b, byte(25+len(bits)), classSpecific, extensionUnit, unit)
	b = append(b, guid...)
	b = append(b, 8, 1, 1, byte(len(bits)))
	return append(append(b, bits...), 0)
}

func TestUnit(t *testing.T) {
	other := make([]byte, 16)
	for name, tt := range map[string]struct {
		descriptors []byte
		number      byte
		want        byte // 0: none
	}{
		"alone":              {video(0, 7, cameraControl, 0x20), 0, 7},
		"of two functions":   {slices.Concat(video(0, 7, cameraControl, 0x20), video(2, 14, cameraControl, 0x20)), 2, 14},
		"after another unit": {slices.Concat(video(0, 3, other, 0xFF), video(0, 10, cameraControl, 0, 0xFF, 0x20), video(0, 11, cameraControl, 0x20)), 0, 11},
		"another function's": {video(2, 7, cameraControl, 0x20), 0, 0},
		"without it":         {video(0, 7, cameraControl, 0xDF), 0, 0},
		"no bits":            {video(0, 7, cameraControl), 0, 0},
		"another unit":       {video(0, 7, other, 0xFF), 0, 0},
		"cut off":            {video(0, 7, cameraControl, 0x20)[:30], 0, 0},
		"nonsense":           {[]byte{0, 0, 0, 0}, 0, 0},
		"nothing":            {nil, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got, found := unitWith(tt.descriptors, tt.number, faceAuthentication, cameraControl); got != tt.want || found != (tt.want != 0) {
				t.Errorf("unit %d, %v; want %d", got, found, tt.want)
			}
		})
	}
}

// Descriptors come from the device: whatever they are, a unit that is found is in
// them.
func FuzzUnit(f *testing.F) {
	f.Add(video(0, 7, cameraControl, 0x20), byte(0))
	f.Add(video(0, 7, cameraControl), byte(0))
	f.Add(video(0, 7, cameraControl, 0x20)[:33], byte(0))
	f.Fuzz(func(t *testing.T, b []byte, number byte) {
		if unit, found := unitWith(b, number, faceAuthentication, cameraControl); found && !slices.Contains(b, unit) {
			t.Errorf("unit %d is not in the descriptors", unit)
		}
	})
}
