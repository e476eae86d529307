package capture

import (
	"errors"
	"image"
	"testing"

	"sbid/capture/imagecodec"
	"sbid/capture/iso19794"
	"sbid/driver"
)

// A record tells the rate that the scanner took, where that is what the image
// was made smaller from.
func TestRecordTellsTheScannersRate(t *testing.T) {
	for native, want := range map[int]uint16{0: 500, 385: 500, 500: 500, 512: 512} {
		s := Sample{
			Position: driver.LeftThumb, Image: image.NewGray(image.Rect(0, 0, 200, 200)), DPI: 500, Quality: 50,
			Native: driver.Geometry{DPI: native},
		}
		b, err := s.Record(iso19794.Registration, driver.Info{})
		if errors.Is(err, imagecodec.ErrNoOpenJPEG) {
			t.Skip("without OpenJPEG there are no records")
		}
		if err != nil {
			t.Fatal(err)
		}
		f, err := iso19794.DecodeFinger(b)
		if err != nil {
			t.Fatal(err)
		}
		if f.ScanRateH != want || f.ScanRateV != want || f.ImageRateH != 500 || f.ImageRateV != 500 {
			t.Errorf("%d dpi became %d and %d", native, f.ScanRateH, f.ImageRateH)
		}
	}
}
