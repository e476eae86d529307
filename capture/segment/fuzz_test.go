package segment_test

import (
	"errors"
	"image"
	"math"
	"testing"

	"sbid/capture/segment"
	"sbid/driver"
)

// mosaic makes an image w cells wide of data, cell pixels a side: flat ones of
// even greys, checkered ones of odd greys.
func mosaic(data []byte, w, cell int) *image.Gray {
	w = max(w, 1)
	h := len(data) / w
	img := image.NewGray(image.Rect(0, 0, w*cell+3, h*cell+1))
	for y := range h * cell {
		for x := range w * cell {
			g := data[y/cell*w+x/cell]
			if g&1 == 1 && (x+y/2)&2 == 0 {
				g ^= 0x7F
			}
			img.Pix[y*img.Stride+x] = g
		}
	}
	return img
}

// shrunk returns the cells of the mosaic that looks like img, all flat.
func shrunk(img *image.Gray, cell int) []byte {
	cells := segment.Luminance(img, img.Rect, cell).Pix
	for i := range cells {
		cells[i] &^= 1
	}
	return cells
}

// Whatever lies on the platen, the answer is well formed: as many names as
// wanted or an error, and boxes that can be cut.
func FuzzSlap(f *testing.F) {
	img, _ := paintHand(1, driver.Right, scene{touching: true})
	cells := shrunk(img, 16)
	for i, g := range cells {
		if g < 230 {
			cells[i] |= 1
		}
	}
	f.Add(cells, uint8(100), uint8(2))
	f.Add([]byte{1, 2, 3, 4}, uint8(2), uint8(3))
	f.Add([]byte{}, uint8(0), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, w, sensor uint8) {
		if len(data) > 100*100 {
			return
		}
		img := mosaic(data, int(w), 16)
		want := driver.Finger.Positions(driver.Sensor(sensor % 4))
		if sensor%4 == 0 {
			want = []driver.Position{driver.UnknownFinger}
		}
		l, err := segment.Slap(img, want)
		if (err == nil) != (l.Seen() == len(want) && l.Hint != segment.WrongHand) {
			t.Errorf("%d of %d fingers, hint %d, %v", l.Seen(), len(want), l.Hint, err)
		}
		for _, finger := range l.Fingers {
			w, h := finger.Size()
			if cut := finger.Cut(img); w <= 0 || h <= 0 || cut.Rect != image.Rect(0, 0, w, h) {
				t.Errorf("%v of %d x %d cut to %v", finger.Position, w, h, cut.Rect)
			}
		}
	})
}

// Whatever is before the lens, an eye that is found is inside the frame.
func FuzzEyes(f *testing.F) {
	e := ordinaryEye(1)
	f.Add(shrunk(e.paint(640, 480), 16), uint8(40))
	f.Add([]byte{0, 0, 255}, uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, w uint8) {
		if len(data) > 40*40 {
			return
		}
		img := mosaic(data, int(w), 16)
		eyes, err := segment.Eyes(img, []driver.Position{driver.RightIris})
		if (err == nil) != (len(eyes) == 1) || err != nil && !errors.Is(err, segment.ErrNotFound) {
			t.Fatalf("%d eyes, %v", len(eyes), err)
		}
		for _, e := range eyes {
			if !e.Crop.In(img.Rect) || e.Crop.Empty() || !(e.Iris.R > e.Pupil.R && e.Pupil.R > 0) {
				t.Errorf("%+v in %v", e, img.Rect)
			}
			if got := e.Masked(img).Rect.Size(); got != e.Crop.Size() {
				t.Errorf("masked image of %v for %v", got, e.Crop)
			}
		}
	})
}

// Whatever is before the camera, a face that is found has two eyes in order,
// and a portrait inside the frame.
func FuzzFace(f *testing.F) {
	f.Add([]byte{200, 20, 200, 20, 200, 200, 200, 20, 200}, uint8(3))
	f.Add([]byte{1}, uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, w uint8) {
		if len(data) > 32*32 {
			return
		}
		img := mosaic(data, int(w), 8)
		face, err := segment.Face(img)
		if errors.Is(err, segment.ErrNotFound) {
			return
		}
		if face.Count < 1 || math.IsNaN(face.IED()) || !face.Portrait(img.Rect).In(img.Rect) || !face.ExceptionPhoto(img.Rect).In(img.Rect) {
			t.Errorf("%+v, %v in %v", face, err, img.Rect)
		}
	})
}
