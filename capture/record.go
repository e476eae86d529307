package capture

import (
	"fmt"
	"image"

	"sbid/capture/imagecodec"
	"sbid/capture/iso19794"
	"sbid/driver"
)

// authRatio is how much smaller auth images get. MOSIP allows 15; at 10 a
// fingerprint keeps its minutiae.
const authRatio = 10

// Record encodes the sample as ISO/IEC 19794, with a JPEG 2000 image in it:
// lossless for registration, lossy for auth. scanner is the one it came from.
func (s Sample) Record(profile iso19794.Profile, scanner driver.Info) ([]byte, error) {
	picture := s.picture(profile)
	encoded, err := imagecodec.EncodeJP2(picture, imagecodec.JP2Options{
		Lossless: profile == iso19794.Registration, Ratio: authRatio, DPI: s.DPI,
	})
	if err != nil {
		return nil, fmt.Errorf("encode image: %w", err)
	}
	size := picture.Bounds().Size()
	record, err := iso19794.New(profile, iso19794.Sample{
		Position: s.Position, Captured: s.Captured,
		Quality: iso19794.QualityBlock{Score: byte(s.Quality)}, // vendor and algorithm unreported: the measure is our own
		Width:   size.X, Height: size.Y, DPI: s.DPI, ScanDPI: s.scanDPI(),
		Image: encoded, Technology: scanner.Technology,
	})
	if err != nil {
		return nil, err
	}
	return record.MarshalBinary()
}

// scanDPI is the scanner's own sampling rate, as far as a record can tell it:
// readers refuse an image that has a higher rate than its scanner, so of one
// that was enlarged it says no more than the image's. Frame.Native tells.
func (s Sample) scanDPI() int { return max(s.DPI, s.Native.DPI) }

// picture is what goes into the record: of an eye the crop, which for auth is
// masked, too.
func (s Sample) picture(profile iso19794.Profile) image.Image {
	gray, ok := s.Image.(*image.Gray)
	switch {
	case s.eye == nil || !ok:
		return s.Image
	case profile == iso19794.Auth:
		return s.eye.Masked(gray)
	}
	return s.eye.Cropped(gray)
}
