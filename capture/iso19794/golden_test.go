package iso19794_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sbid/capture/iso19794"
)

// unhex reads lines of hexadecimal digits; what follows // is a remark.
func unhex(t testing.TB, lines string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(lines) {
		line, _, _ = strings.Cut(line, "//")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The records below are written down byte by byte from the tables of the
// standards; nothing in them was computed by this package.

const fingerHex = `
	46 49 52 00  30 32 30 00  // FIR, 020
	00 00 00 45               // record length 69
	00 01  00  01             // one representation, not certified, one finger
	00 00 00 35               // representation length 53
	07 EA 0B 16 0C 1E 38 03 15 // 2026-11-22 12:30:56.789
	02                        // technology: white light, direct view
	00 00 00 00               // vendor, type
	01  39 01 01 00 39        // one quality block: 57, NFIQ 2.3 of SC 37
	07  00  01                // left index, representation 0, pixels per inch
	01 F4 01 F4  01 F4 01 F4  // 500 everywhere
	08  05  00                // 8 bits, JPEG 2000 lossless, live plain
	01 18  01 C0              // 280 x 448
	00 00 00 07  A0 A1 A2 A3 A4 A5 A6`

func finger() *iso19794.Finger {
	return &iso19794.Finger{
		Fingers: 1,
		Capture: iso19794.Capture{
			Captured:      iso19794.DateTime{2026, 11, 22, 12, 30, 56, 789},
			Technology:    iso19794.TechFingerWhiteDirect,
			QualityBlocks: []iso19794.QualityBlock{{57, iso19794.VendorSC37, iso19794.NFIQ2_3}},
		},
		FingerPosition: iso19794.LeftIndex,
		ScaleUnits:     iso19794.PixelsPerInch,
		ScanRateH:      500, ScanRateV: 500, ImageRateH: 500, ImageRateV: 500,
		BitDepth:    8,
		Compression: iso19794.JPEG2000Lossless,
		Impression:  iso19794.LiveScanPlain,
		Width:       280, Height: 448,
		Data: []byte{0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6},
	}
}

const fullFingerHex = `
	46 49 52 00  30 32 30 00
	00 00 00 87               // record length 135
	00 01  01  02             // certified, two fingers
	00 00 00 77               // representation length 41 + 10 + 7 + 1 + 60
	FF FF FF FF FF FF FF FF FF // date and time unknown
	14                        // glass fibre
	00 40 12 34               // vendor, type
	02  64 01 01 00 21  FF 00 00 00 00 // 100 by NFIQ 2.0; a failed one
	02  00 40 02  12 34 03    // two certifications
	2B  0F  02                // left index and middle, representation 15, pixels per cm
	01 90 01 2C  00 C8 00 64  // 400, 300, 200, 100
	10  00  18                // 16 bits, uncompressed, contactless
	00 01  FF FF              // 1 x 65535
	00 00 00 01  55
	00 01  00 26              // segmentation, 38 bytes
	00 41 00 42  FF           // vendor, algorithm, score unknown
	01 01 00 38  01           // quality vendor, then algorithm; one segment
	07 32 05                  // left index, quality 50, five points
	00 01 00 02  00 03 00 04  00 05 00 06  00 07 00 08  00 09 00 0A
	40                        // orientation
	00 02  00 09  02  06 01  0A 02 // thumb amputated, little finger unusable
	00 03  00 06  48 69       // comment
	01 00  00 07  DE AD BE    // vendor block`

func fullFinger() *iso19794.Finger {
	return &iso19794.Finger{
		Fingers: 2,
		Capture: iso19794.Capture{
			Captured:      iso19794.UnknownDateTime(),
			Technology:    iso19794.TechFingerGlassFibre,
			DeviceVendor:  0x40,
			DeviceType:    0x1234,
			QualityBlocks: []iso19794.QualityBlock{{100, 0x0101, 0x0021}, {iso19794.QualityFailed, 0, 0}},
		},
		Certified: true,
		Certifications: []iso19794.Certification{
			{0x40, iso19794.SchemePersonalVerification}, {0x1234, iso19794.SchemeOptical},
		},
		FingerPosition: iso19794.LeftIndexMiddle,
		Representation: 15,
		ScaleUnits:     iso19794.PixelsPerCentimetre,
		ScanRateH:      400, ScanRateV: 300, ImageRateH: 200, ImageRateV: 100,
		BitDepth:    16,
		Compression: iso19794.Uncompressed,
		Impression:  iso19794.LiveScanContactlessPlain,
		Width:       1, Height: 65535,
		Data: []byte{0x55},
		Extended: []iso19794.ExtendedBlock{
			&iso19794.Segmentation{
				Vendor: 0x41, Algorithm: 0x42, Score: iso19794.QualityFailed,
				QualityVendor: 0x0101, QualityAlgorithm: 0x0038,
				Segments: []iso19794.Segment{{
					Position: iso19794.LeftIndex, Quality: 50,
					Outline:     []iso19794.Point{{1, 2}, {3, 4}, {5, 6}, {7, 8}, {9, 10}},
					Orientation: 0x40,
				}},
			},
			&iso19794.Annotation{Fingers: []iso19794.AnnotatedFinger{
				{iso19794.LeftThumb, iso19794.Amputated}, {iso19794.LeftLittle, iso19794.Unusable},
			}},
			&iso19794.Comment{Type: iso19794.CommentType, Text: "Hi"},
			&iso19794.VendorBlock{Type: 0x100, Data: []byte{0xDE, 0xAD, 0xBE}},
		},
	}
}

const irisHex = `
	49 49 52 00  30 32 30 00  // IIR, 020
	00 00 00 4C               // record length 76
	00 01  00  01             // one representation, never certified, one eye
	00 00 00 3C               // representation length 60
	07 EA 01 02 03 04 05 00 07 // 2026-01-02 03:04:05.007
	01                        // CMOS or CCD
	00 40 30 06               // vendor, type
	01  60 00 00 00 00        // quality 96
	00 01                     // representation 1
	02  03  0A  45            // left, cropped, mono JPEG 2000, upright, lossless
	02 80  01 E0  08          // 640 x 480, 8 bits
	00 C8  40 00  00 B6       // 200 mm, a quarter turn, half a degree
	01 38 01 48  00 E8 00 F8  // centre x 312 to 328, y 232 to 248
	00 DC 00 E6               // diameter 220 to 230
	00 00 00 03  B0 B1 B2`

func iris() *iso19794.Iris {
	return &iso19794.Iris{
		Eyes: 1,
		Capture: iso19794.Capture{
			Captured:      iso19794.DateTime{2026, 1, 2, 3, 4, 5, 7},
			Technology:    iso19794.TechIrisCMOSOrCCD,
			DeviceVendor:  0x40,
			DeviceType:    0x3006,
			QualityBlocks: []iso19794.QualityBlock{{Score: 96}},
		},
		Representation: 1,
		EyeLabel:       iso19794.LeftEye,
		Kind:           iso19794.IrisCropped,
		ImageFormat:    iso19794.IrisMonoJPEG2000,
		Properties:     iso19794.HorizontalBase | iso19794.VerticalBase | iso19794.HistoryLossless,
		Width:          640, Height: 480,
		BitDepth:  8,
		Range:     200,
		RollAngle: 0x4000, RollUncertainty: 182,
		CentreXMin: 312, CentreXMax: 328, CentreYMin: 232, CentreYMax: 248,
		DiameterMin: 220, DiameterMax: 230,
		Data: []byte{0xB0, 0xB1, 0xB2},
	}
}

const faceHex = `
	46 41 43 00  30 33 30 00  // FAC, 030
	00 00 00 5C               // record length 92
	00 01  00  00 00          // one representation, never certified, one image
	00 00 00 4B               // representation length 75
	07 EA 0C 1F 17 3B 3B 03 E7 // 2026-12-31 23:59:59.999
	06                        // digital video
	00 00 00 00               // vendor, type
	01  50 00 00 00 00        // quality 80
	00 02                     // two landmarks
	02  03  FF  B4            // female, brown eyes, hair unknown, 180 cm
	00 04 02                  // glasses and head covering
	00 03                     // expression: neutral
	01 02 03  04 05 06        // pose, uncertainty
	01 C1 00 64 00 78 00 00   // MPEG-4 12.1 at 100, 120
	03 07 00 C8 00 78 00 09   // anthropometric, 3D
	01  02                    // full frontal, JPEG 2000 lossless
	01 E0  02 80  03          // 480 x 640, level 3
	00 02  00  01             // cropped, no reference, RGB
	00 00 00 03  C0 C1 C2`

func face() *iso19794.Face {
	return &iso19794.Face{
		Capture: iso19794.Capture{
			Captured:      iso19794.DateTime{2026, 12, 31, 23, 59, 59, 999},
			Technology:    iso19794.TechFaceVideoDigital,
			QualityBlocks: []iso19794.QualityBlock{{Score: 80}},
		},
		Gender:        iso19794.GenderFemale,
		EyeColour:     iso19794.EyeBrown,
		HairColour:    iso19794.HairUnknown,
		SubjectHeight: 180,
		Properties:    iso19794.PropertyGlasses | iso19794.PropertyHeadCovering,
		Expression:    iso19794.ExpressionSpecified | iso19794.ExpressionNeutral,
		Pose:          [3]byte{1, 2, 3}, PoseUncertainty: [3]byte{4, 5, 6},
		Landmarks: []iso19794.Landmark{
			{Type: iso19794.MPEG4, Code: 0xC1, X: 100, Y: 120},
			{Type: iso19794.Anthropometric3D, Code: 7, X: 200, Y: 120, Z: 9},
		},
		ImageType: iso19794.FaceFullFrontal,
		DataType:  iso19794.FaceJPEG2000Lossless,
		Width:     480, Height: 640,
		SpatialLevel:   3,
		PostProcessing: iso19794.ProcessCropped,
		Colour:         iso19794.ColourRGB24,
		Data:           []byte{0xC0, 0xC1, 0xC2},
	}
}

// goldens pairs each record with its bytes.
func goldens(t testing.TB) map[string]struct {
	bytes  []byte
	record iso19794.Record
} {
	face3D := face()
	face3D.ImageType = iso19794.FaceFullFrontal3D
	face3D.Data3D = []byte{1, 2, 3, 4}
	face3DBytes := append(unhex(t, faceHex), 1, 2, 3, 4)
	face3DBytes[11] += 4 // record length
	face3DBytes[20] += 4 // representation length
	face3DBytes[36+5+17+2*8] = 0x81

	return map[string]struct {
		bytes  []byte
		record iso19794.Record
	}{
		"finger":      {unhex(t, fingerHex), finger()},
		"full finger": {unhex(t, fullFingerHex), fullFinger()},
		"iris":        {unhex(t, irisHex), iris()},
		"face":        {unhex(t, faceHex), face()},
		"3D face":     {face3DBytes, face3D},
	}
}

func TestEncodeGolden(t *testing.T) {
	for name, g := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			got, err := g.record.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(g.bytes, got); diff != "" {
				t.Errorf("bytes differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeGolden(t *testing.T) {
	for name, g := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			got, err := iso19794.Decode(g.bytes)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(g.record, got); diff != "" {
				t.Errorf("record differs (-want +got):\n%s", diff)
			}
		})
	}
}

// The smallest records that the standards allow have neither quality blocks nor
// an image; they decode, though nobody should write one.
func TestDecodeSmallest(t *testing.T) {
	for name, tt := range map[string]struct {
		lines  string
		length int
	}{
		"finger": {`46495200 30323000 00000039 0001 00 01 00000029
			FFFFFFFFFFFFFFFFFF 00 00000000 00
			00 00 01 01F4 01F4 01F4 01F4 08 05 1D 0001 0001 00000000`, 57},
		"iris": {`49495200 30323000 00000044 0001 00 01 00000034
			FFFFFFFFFFFFFFFFFF 00 00000000 00
			0001 00 03 0A 00 0001 0001 08 0000 FFFF FFFF 0000 0000 0000 0000 0000 0000 00000000`, 68},
		"face": {`46414300 30333000 00000044 0001 00 0000 00000033
			FFFFFFFFFFFFFFFFFF 00 00000000 00
			0000 00 00 00 00 000000 0000 000000 000000
			01 02 0001 0001 00 0000 00 01 00000000`, 68},
	} {
		t.Run(name, func(t *testing.T) {
			b := unhex(t, tt.lines)
			if len(b) != tt.length {
				t.Fatalf("the test's record has %d bytes, want %d", len(b), tt.length)
			}
			r, err := iso19794.Decode(b)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.MarshalBinary(); err == nil || !strings.Contains(err.Error(), "no image") {
				t.Errorf("encoding a record without an image: %v", err)
			}
		})
	}
}

// A decoded image must not be a copy, and must not let its owner grow into the
// bytes behind it.
func TestDecodeSharesInput(t *testing.T) {
	for name, g := range goldens(t) {
		r, err := iso19794.Decode(g.bytes)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(g.bytes, r.Image())
		if &r.Image()[0] != &g.bytes[at] {
			t.Errorf("%s: the image was copied", name)
		}
		if cap(r.Image()) != len(r.Image()) {
			t.Errorf("%s: room for %d bytes behind an image of %d", name, cap(r.Image()), len(r.Image()))
		}
	}
}
