package simulator

import (
	"image"
	"image/draw"
	"slices"

	"sbid/driver"
)

// sceneNames are the names of images that fill a scanner's whole view.
var sceneNames = []string{"left-slap", "right-slap", "thumbs", "both-irises", "exception-photo"}

// KnownImage tells whether Config.Images uses images of that name: a position,
// or left-slap, right-slap, thumbs, both-irises, exception-photo.
func KnownImage(name string) bool {
	pos, err := driver.ParsePosition(name)
	known := err == nil && pos != driver.UnknownFinger && pos != driver.UnknownIris
	return known || slices.Contains(sceneNames, name)
}

// playable returns the images in the types that frames are made of. An image
// that already is of its type stays the same.
func playable(images map[string]image.Image) map[string]image.Image {
	if images == nil {
		return nil
	}
	converted := map[string]image.Image{}
	for name, img := range images {
		colour := name == driver.FullFace.String() || name == "exception-photo"
		switch img.(type) {
		case *image.Gray:
			if !colour {
				converted[name] = img
				continue
			}
		case *image.RGBA:
			if colour {
				converted[name] = img
				continue
			}
		}
		var dst draw.Image = image.NewGray(img.Bounds())
		if colour {
			dst = image.NewRGBA(img.Bounds())
		}
		draw.Draw(dst, dst.Bounds(), img, img.Bounds().Min, draw.Src)
		converted[name] = dst
	}
	return converted
}

// still is a view that never changes: an image played back.
type still driver.Frame

func (s still) next() driver.Frame { return driver.Frame(s) }

// play returns the view of the images that fit the target, or nil if there is
// none.
func (s *Simulator) play(info driver.Info, want driver.Target, positions []driver.Position) view {
	var f driver.Frame
	if info.Modality == driver.Finger {
		f.DPI = fingerDPI
	}
	if img := s.images[sceneName(info, want)]; img != nil {
		f.Image = img
		return still(f)
	}
	if info.Addr == AddrSlap || info.Addr == AddrIrisDouble {
		for _, pos := range positions {
			if img := s.images[pos.String()]; img != nil {
				f.Parts = append(f.Parts, driver.Part{Position: pos, Image: img})
			}
		}
		if f.Parts == nil {
			return nil
		}
		return still(f)
	}
	// Of those that would do, show one that there is an image of.
	positions = slices.DeleteFunc(slices.Clone(positions), func(pos driver.Position) bool { return s.images[pos.String()] == nil })
	if len(positions) == 0 {
		return nil
	}
	f.Image = s.images[single(info.Modality, want, positions).String()]
	return still(f)
}

// sceneName returns the name of the image of everything that the scanner sees.
func sceneName(info driver.Info, want driver.Target) string {
	switch {
	case info.Modality == driver.Face && len(want.Exceptions) > 0:
		return "exception-photo"
	case info.Addr == AddrIrisDouble && want.Sensor == driver.Both:
		return "both-irises"
	case info.Addr == AddrSlap && want.Sensor == driver.Left:
		return "left-slap"
	case info.Addr == AddrSlap && want.Sensor == driver.Right:
		return "right-slap"
	case info.Addr == AddrSlap && want.Sensor == driver.Both:
		return "thumbs"
	}
	return ""
}
