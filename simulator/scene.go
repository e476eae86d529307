package simulator

import (
	"bytes"
	"image"
	"math"
	"slices"

	"sbid/driver"
)

// scene returns how to draw the base of what a scanner sees of the person at
// every stage of settling: lift is 1 at first and 0 in the end.
func (p *Person) scene(addr string, want driver.Target, positions []driver.Position, capture uint64, c Condition) func(lift float64) image.Image {
	how := Impression{Capture: capture, Moisture: c.Moisture, Wear: c.Wear, Blur: c.Blur}
	shot := Shot{Capture: capture, Blur: c.Blur, Closed: c.Closed, Yaw: c.Yaw}
	switch addr {
	case AddrSlap:
		missing := slices.DeleteFunc(driver.Finger.Positions(want.Sensor), func(pos driver.Position) bool { return slices.Contains(positions, pos) })
		return pressing(p.press(slapWidth, slapHeight, p.placeSlap(want.Sensor, missing, Pose{Impression: how}), how), how)
	case AddrFinger:
		pos := single(driver.Finger, want, positions)
		finger := pressing(p.press(fingerWidth, fingerHeight, p.placeSingle(pos, how), how), how)
		return touching(emptyScene(addr, want.Sensor), finger)
	case AddrIris:
		img, _ := p.drawOneEye(single(driver.Iris, want, positions), shot)
		return focusingGray(img, shot)
	case AddrIrisDouble:
		return focusingGray(p.drawEyes(want.Sensor, positions, shot), shot)
	}
	var img *image.RGBA
	if len(want.Exceptions) > 0 {
		img, _ = p.drawPhoto(want.Exceptions, shot)
	} else {
		img, _ = p.drawFace(shot)
	}
	return focusingColour(img, shot)
}

// touching draws the empty glass until a finger comes down on it, so that one
// finger can be told from the next.
func touching(empty, finger func(lift float64) image.Image) func(lift float64) image.Image {
	return func(lift float64) image.Image {
		if lift == 1 {
			return empty(lift)
		}
		return finger(lift)
	}
}

// pressing draws a contact that becomes firmer.
func pressing(c *contact, how Impression) func(lift float64) image.Image {
	return func(lift float64) image.Image {
		how.Lift = lift
		return c.tone(how)
	}
}

// Blur of the cameras' optics, in focus and at the beginning, in px.
const (
	eyeBlur, eyeUnfocused   = 0.9, 6
	faceBlur, faceUnfocused = 0.7, 5

	faceUnderexposed = 0.6 // of the light is missing at the beginning
)

// focusingGray draws eyes that come into focus.
func focusingGray(sharp *image.Gray, shot Shot) func(lift float64) image.Image {
	return func(lift float64) image.Image {
		img := image.NewGray(sharp.Rect)
		copy(img.Pix, sharp.Pix)
		blurGray(img, img.Rect, math.Hypot(math.Hypot(eyeBlur, shot.Blur), eyeUnfocused*lift))
		return img
	}
}

// focusingColour draws a face while the camera finds focus and exposure.
func focusingColour(sharp *image.RGBA, shot Shot) func(lift float64) image.Image {
	return func(lift float64) image.Image {
		img := image.NewRGBA(sharp.Rect)
		expose(img.Pix, sharp.Pix, 1-faceUnderexposed*lift)
		blurRGBA(img, math.Hypot(math.Hypot(faceBlur, shot.Blur), faceUnfocused*lift))
		return img
	}
}

// expose sets the colours of dst to those of src times gain, both opaque bases.
//
//go:norace
func expose(dst, src []uint8, gain float64) {
	var table [256]uint8
	for v := range table {
		table[v] = toBase((float64(v) + noiseMean) * gain)
	}
	for i := 0; i+4 <= len(src); i += 4 {
		dst[i], dst[i+1], dst[i+2], dst[i+3] = table[src[i]], table[src[i+1]], table[src[i+2]], 255
	}
}

func (p *Person) drawOneEye(pos driver.Position, shot Shot) (*image.Gray, EyeTruth) {
	img := image.NewGray(image.Rect(0, 0, eyeWidth, eyeHeight))
	return img, p.drawEye(img, pos, shot)
}

// drawEyes draws one eye, or both side by side as a camera sees them: the right
// one on the left. A missing eye is closed.
func (p *Person) drawEyes(sensor driver.Sensor, positions []driver.Position, shot Shot) *image.Gray {
	if sensor != driver.Both {
		img, _ := p.drawOneEye(positions[0], shot)
		return img
	}
	img := image.NewGray(image.Rect(0, 0, 2*eyeWidth, eyeHeight))
	for i, pos := range [2]driver.Position{driver.RightIris, driver.LeftIris} {
		half := img.SubImage(image.Rect(i*eyeWidth, 0, (i+1)*eyeWidth, eyeHeight)).(*image.Gray)
		half.Rect = image.Rect(0, 0, eyeWidth, eyeHeight)
		shot := shot
		if !slices.Contains(positions, pos) {
			shot.Closed = 1
		}
		p.drawEye(half, pos, shot)
	}
	return img
}

// emptyScene draws what a scanner sees when nobody is there.
func emptyScene(addr string, sensor driver.Sensor) func(float64) image.Image {
	var img image.Image
	switch addr {
	case AddrSlap:
		img = filled(slapWidth, slapHeight, platenGrey)
	case AddrFinger:
		img = filled(fingerWidth, fingerHeight, platenGrey)
	case AddrIrisDouble, AddrIris:
		// The lamps do not reach the wall.
		w := eyeWidth
		if sensor == driver.Both {
			w = 2 * eyeWidth
		}
		img = filled(w, eyeHeight, 38)
	default:
		img = emptyRoom()
	}
	return func(float64) image.Image { return img }
}

// filled returns a base of one grey value.
func filled(w, h int, grey float64) *image.Gray {
	return &image.Gray{Pix: bytes.Repeat([]byte{toBase(grey)}, w*h), Stride: w, Rect: image.Rect(0, 0, w, h)}
}

func emptyRoom() *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, faceWidth, faceHeight))
	for y := range faceHeight {
		c := wall(float64(y) / faceHeight)
		for x := range faceWidth {
			c.put(img.Pix[img.PixOffset(x, y):])
		}
	}
	return img
}
