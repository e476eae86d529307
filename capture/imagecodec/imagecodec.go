// Package imagecodec turns pictures of fingers, irises and faces into bytes and
// back: JPEG 2000 (ISO/IEC 15444-1) by OpenJPEG, WSQ (FBI IAFIS-IC-0110) by its
// own code, and for reading also PNG, JPEG and binary PGM and PPM.
//
// A grey picture is an *image.Gray, a colour picture an *image.RGBA whose alpha
// is ignored. Every function is safe for concurrent use and none keeps what it
// was given. Bytes may come from anywhere: damaged or hostile ones are an error,
// and how much memory they can take is bounded by MaxSamples.
package imagecodec

import (
	"errors"
	"fmt"
	"image"
)

// MaxSamples is the largest picture that is decoded or encoded: width times
// height times components. A four-finger slap at 1000 dpi has 10 million.
const MaxSamples = 64 << 20

// ErrNoOpenJPEG is what JPEG 2000 fails with in a program built without cgo.
var ErrNoOpenJPEG = errors.New("JPEG 2000 is not in this build: it needs cgo and OpenJPEG")

// Info is what a file says about the picture in it.
type Info struct {
	Codec      string // "JP2", "WSQ", "PNG", "JPEG" or "PGM", which stands for PPM, too
	Width      int    // pixels
	Height     int    // pixels
	Components int    // 1 for grey, 3 for colour
	Reversible bool   // the codec loses nothing: JP2 with the 5/3 wavelet, PNG, PGM
	DPI        int    // pixels per inch, 0 if unknown; only JP2 and WSQ are asked
	BytesIn    int    // length of the file
}

// pixels is a rectangle of 8-bit samples: of one byte a pixel, or of four with
// red, green and blue first.
type pixels struct {
	pix           []byte // from the first sample of the first row
	stride        int    // bytes from one row to the next
	width, height int    // pixels
	components    int    // 1 or 3
}

// pixelsOf views img, without a copy.
func pixelsOf(img image.Image) (pixels, error) {
	b := img.Bounds()
	p := pixels{width: b.Dx(), height: b.Dy(), components: 1}
	if err := checkSize(p.width, p.height, 1); err != nil {
		return pixels{}, err
	}
	bytesPerPixel := 1
	switch img := img.(type) {
	case *image.Gray:
		p.pix, p.stride = img.Pix[img.PixOffset(b.Min.X, b.Min.Y):], img.Stride
	case *image.RGBA:
		p.pix, p.stride = img.Pix[img.PixOffset(b.Min.X, b.Min.Y):], img.Stride
		p.components, bytesPerPixel = 3, 4
	default:
		return pixels{}, fmt.Errorf("a picture of type %T: want *image.Gray or *image.RGBA", img)
	}
	row := p.width * bytesPerPixel
	if p.stride < row || len(p.pix) < (p.height-1)*p.stride+row {
		return pixels{}, fmt.Errorf("%d bytes of pixels in rows of %d are too few for %dx%d", len(p.pix), p.stride, p.width, p.height)
	}
	return p, checkSize(p.width, p.height, p.components)
}

// newImage returns an image of the given size and a view of its pixels.
func newImage(width, height, components int) (image.Image, pixels) {
	r := image.Rect(0, 0, width, height)
	p := pixels{width: width, height: height, components: components}
	if components == 1 {
		img := image.NewGray(r)
		p.pix, p.stride = img.Pix, img.Stride
		return img, p
	}
	img := image.NewRGBA(r)
	for i := 3; i < len(img.Pix); i += 4 {
		img.Pix[i] = 0xFF
	}
	p.pix, p.stride = img.Pix, img.Stride
	return img, p
}

func checkSize(width, height, components int) error {
	if width < 1 || height < 1 {
		return fmt.Errorf("a picture of %dx%d pixels is empty", width, height)
	}
	if int64(width) > MaxSamples || int64(width)*int64(height) > MaxSamples/int64(components) {
		return fmt.Errorf("a picture of %dx%d pixels with %d components is larger than %d samples", width, height, components, MaxSamples)
	}
	return nil
}
