package simulator

import (
	"image"
	"image/color"
	"testing"
	"time"

	"sbid/driver"
)

func TestImagesAreShownExactly(t *testing.T) {
	grey := func() *image.Gray { return image.NewGray(image.Rect(0, 0, 280, 448)) }
	images := map[string]image.Image{
		"left-index": grey(), "left-little": grey(), "right-thumb": grey(), "left-iris": grey(),
		"right-slap": grey(), "both-irises": grey(), "face": image.NewRGBA(image.Rect(0, 0, 300, 400)),
	}
	target := func(s driver.Sensor, positions ...driver.Position) driver.Target {
		return driver.Target{Sensor: s, Positions: positions}
	}
	tests := map[string]struct {
		addr  string
		want  driver.Target
		image string   // shown as a whole
		parts []string // shown by position
	}{
		"whole slap":           {AddrSlap, whole(driver.Finger, driver.Right), "right-slap", nil},
		"parts of a slap":      {AddrSlap, whole(driver.Finger, driver.Left), "", []string{"left-index", "left-little"}},
		"one thumb":            {AddrSlap, whole(driver.Finger, driver.Both), "", []string{"right-thumb"}},
		"finger":               {AddrFinger, target(driver.Single, driver.LeftLittle), "left-little", nil},
		"finger without image": {AddrFinger, target(driver.Single, driver.RightRing), "", nil},
		"any finger":           {AddrFinger, target(driver.Single, driver.UnknownFinger), "left-index", nil},
		"both irises":          {AddrIrisDouble, whole(driver.Iris, driver.Both), "both-irises", nil},
		"left iris":            {AddrIrisDouble, whole(driver.Iris, driver.Left), "", []string{"left-iris"}},
		"right iris":           {AddrIrisDouble, whole(driver.Iris, driver.Right), "", nil},
		"any iris":             {AddrIris, target(driver.Single, driver.UnknownIris), "left-iris", nil},
		"face":                 {AddrCamera, whole(driver.Face, driver.Single), "face", nil},
		"excepted finger":      {AddrSlap, driver.Target{Sensor: driver.Left, Positions: driver.Finger.Positions(driver.Left)[:3], Exceptions: []driver.Position{driver.LeftLittle}}, "", []string{"left-index"}},
	}
	s := New(Config{Images: images, Interval: time.Microsecond})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, f := range frames(t, s, tt.addr, tt.want, 3) {
				switch {
				case tt.image != "":
					if f.Image != images[tt.image] {
						t.Errorf("frame does not hold the image %s", tt.image)
					}
				case tt.parts == nil:
					if f.Parts != nil || edges(t, f) > 30 {
						t.Error("without an image something is shown")
					}
				case len(f.Parts) != len(tt.parts):
					t.Errorf("%d parts, want %v", len(f.Parts), tt.parts)
				default:
					for i, p := range f.Parts {
						if p.Position.String() != tt.parts[i] || p.Image != images[tt.parts[i]] {
							t.Errorf("part %d is %v, want %s", i, p.Position, tt.parts[i])
						}
					}
				}
				if m := tt.want.Positions[0].Modality(); m == driver.Finger && f.DPI != 500 {
					t.Errorf("%d dpi", f.DPI)
				}
			}
		})
	}
}

func TestImagesOfOtherTypesAreConverted(t *testing.T) {
	face := image.NewNRGBA(image.Rect(5, 5, 25, 25))
	face.SetNRGBA(7, 8, color.NRGBA{200, 100, 50, 255})
	finger := image.NewNRGBA(image.Rect(0, 0, 20, 20))
	finger.SetNRGBA(7, 8, color.NRGBA{60, 60, 60, 255})
	s := New(Config{Images: map[string]image.Image{"face": face, "left-thumb": finger}, Interval: time.Microsecond})
	if c := frames(t, s, AddrCamera, whole(driver.Face, driver.Single), 1)[0].Image.(*image.RGBA).RGBAAt(7, 8); c != (color.RGBA{200, 100, 50, 255}) {
		t.Errorf("colour became %v", c)
	}
	if c := frames(t, s, AddrFinger, anyFinger, 1)[0].Image.(*image.Gray).GrayAt(7, 8); c.Y != 60 {
		t.Errorf("grey became %v", c)
	}
}

func TestKnownImages(t *testing.T) {
	for name, want := range map[string]bool{
		"left-index": true, "face": true, "thumbs": true, "exception-photo": true, "both-irises": true,
		"unknown-finger": false, "unknown-iris": false, "holiday": false, "": false,
	} {
		if KnownImage(name) != want {
			t.Errorf("KnownImage(%q) is not %v", name, want)
		}
	}
}
