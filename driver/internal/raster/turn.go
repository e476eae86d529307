package raster

import (
	"fmt"
	"image"
)

// Turn returns img turned clockwise by 0, 90, 180 or 270 degrees, or says that
// it is none of them. Turned by 0 it is img itself.
func Turn(img *image.Gray, degrees int) (*image.Gray, error) {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	var out *image.Gray
	var at func(x, y int) (int, int) // where the pixel at x, y goes
	switch degrees {
	case 0:
		return img, nil
	case 90:
		out, at = image.NewGray(image.Rect(0, 0, h, w)), func(x, y int) (int, int) { return h - 1 - y, x }
	case 180:
		out, at = image.NewGray(image.Rect(0, 0, w, h)), func(x, y int) (int, int) { return w - 1 - x, h - 1 - y }
	case 270:
		out, at = image.NewGray(image.Rect(0, 0, h, w)), func(x, y int) (int, int) { return y, w - 1 - x }
	default:
		return nil, fmt.Errorf("turn a picture by %d degrees: not 0, 90, 180 or 270", degrees)
	}
	for y := range h {
		row := img.Pix[y*img.Stride : y*img.Stride+w]
		for x, v := range row {
			tx, ty := at(x, y)
			out.Pix[ty*out.Stride+tx] = v
		}
	}
	return out, nil
}
