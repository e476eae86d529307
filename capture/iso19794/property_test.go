package iso19794_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"sbid/capture/iso19794"
)

func anyOf[T any](values ...T) *rapid.Generator[T] { return rapid.SampledFrom(values) }

func drawByte[T ~uint8](t *rapid.T, lowest, highest T, label string) T {
	return T(rapid.ByteRange(byte(lowest), byte(highest)).Draw(t, label))
}

func drawScore(t *rapid.T) byte {
	return rapid.OneOf(rapid.ByteRange(0, 100), rapid.Just(byte(iso19794.QualityFailed))).Draw(t, "score")
}

func drawImage(t *rapid.T) []byte {
	return rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "image")
}

func drawDateTime(t *rapid.T) iso19794.DateTime {
	d := iso19794.UnknownDateTime()
	if rapid.Bool().Draw(t, "date known") {
		d.Year = rapid.Uint16Range(1, 0xFFFE).Draw(t, "year")
		d.Month = rapid.ByteRange(1, 12).Draw(t, "month")
		d.Day = rapid.ByteRange(1, 31).Draw(t, "day")
	}
	if rapid.Bool().Draw(t, "time known") {
		d.Hour = rapid.ByteRange(0, 23).Draw(t, "hour")
		d.Minute = rapid.ByteRange(0, 59).Draw(t, "minute")
		d.Second = rapid.ByteRange(0, 59).Draw(t, "second")
		d.Millisecond = rapid.Uint16Range(0, 999).Draw(t, "millisecond")
	}
	return d
}

func drawCapture(t *rapid.T, technologies *rapid.Generator[iso19794.Technology]) iso19794.Capture {
	return iso19794.Capture{
		Captured:     drawDateTime(t),
		Technology:   technologies.Draw(t, "technology"),
		DeviceVendor: rapid.Uint16().Draw(t, "vendor"),
		DeviceType:   rapid.Uint16().Draw(t, "type"),
		QualityBlocks: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) iso19794.QualityBlock {
			return iso19794.QualityBlock{
				Score:  drawScore(t),
				Vendor: rapid.Uint16().Draw(t, "vendor"), Algorithm: rapid.Uint16().Draw(t, "algorithm"),
			}
		}), 0, 5).Draw(t, "quality"),
	}
}

var (
	fingerPositions = rapid.OneOf(
		rapid.Map(rapid.ByteRange(0, 10), toPosition), rapid.Map(rapid.ByteRange(13, 15), toPosition),
		rapid.Map(rapid.ByteRange(20, 36), toPosition), rapid.Map(rapid.ByteRange(40, 50), toPosition))
	fingerTechnologies = rapid.Map(rapid.ByteRange(0, 20), toTechnology)
	irisTechnologies   = rapid.Map(rapid.ByteRange(0, 1), toTechnology)
	faceTechnologies   = rapid.OneOf(
		rapid.Map(rapid.ByteRange(0, 6), toTechnology), rapid.Map(rapid.ByteRange(128, 255), toTechnology))
)

func toPosition(b byte) iso19794.FingerPosition { return iso19794.FingerPosition(b) }
func toTechnology(b byte) iso19794.Technology   { return iso19794.Technology(b) }

func drawSegment(t *rapid.T) iso19794.Segment {
	return iso19794.Segment{
		Position: fingerPositions.Draw(t, "position"),
		Quality:  drawScore(t),
		Outline: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) iso19794.Point {
			return iso19794.Point{X: rapid.Uint16().Draw(t, "x"), Y: rapid.Uint16().Draw(t, "y")}
		}), 2, 5).Draw(t, "outline"),
		Orientation: rapid.Byte().Draw(t, "orientation"),
	}
}

func drawExtended(t *rapid.T) iso19794.ExtendedBlock {
	switch rapid.IntRange(1, 4).Draw(t, "block") {
	case 1:
		return &iso19794.Segmentation{
			Vendor: rapid.Uint16().Draw(t, "vendor"), Algorithm: rapid.Uint16().Draw(t, "algorithm"),
			Score:            drawScore(t),
			QualityVendor:    rapid.Uint16().Draw(t, "quality vendor"),
			QualityAlgorithm: rapid.Uint16().Draw(t, "quality algorithm"),
			Segments:         rapid.SliceOfN(rapid.Custom(drawSegment), 0, 4).Draw(t, "segments"),
		}
	case 2:
		return &iso19794.Annotation{
			Fingers: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) iso19794.AnnotatedFinger {
				return iso19794.AnnotatedFinger{
					Position: fingerPositions.Draw(t, "position"),
					Reason:   anyOf(iso19794.Amputated, iso19794.Unusable).Draw(t, "reason"),
				}
			}), 0, 5).Draw(t, "fingers"),
		}
	case 3:
		return &iso19794.Comment{
			Type: rapid.Uint16Range(3, 255).Draw(t, "type"),
			Text: rapid.StringMatching(`[ -~]{0,30}`).Draw(t, "text"),
		}
	}
	return &iso19794.VendorBlock{
		Type: rapid.Uint16Range(256, math.MaxUint16).Draw(t, "type"),
		Data: rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "data"),
	}
}

func drawFinger(t *rapid.T) *iso19794.Finger {
	f := &iso19794.Finger{
		Fingers:        rapid.ByteMin(1).Draw(t, "fingers"),
		Capture:        drawCapture(t, fingerTechnologies),
		Certified:      rapid.Bool().Draw(t, "certified"),
		FingerPosition: fingerPositions.Draw(t, "position"),
		Representation: rapid.ByteRange(0, 15).Draw(t, "representation"),
		ScaleUnits:     anyOf(iso19794.PixelsPerInch, iso19794.PixelsPerCentimetre).Draw(t, "units"),
		ScanRateH:      rapid.Uint16Min(1).Draw(t, "scan h"), ScanRateV: rapid.Uint16Min(1).Draw(t, "scan v"),
		ImageRateH: rapid.Uint16Min(1).Draw(t, "image h"), ImageRateV: rapid.Uint16Min(1).Draw(t, "image v"),
		BitDepth:    rapid.ByteRange(1, 16).Draw(t, "depth"),
		Compression: drawByte(t, iso19794.Uncompressed, iso19794.PNG, "compression"),
		Impression:  drawByte(t, iso19794.LiveScanPlain, iso19794.LatentPalmLift, "impression"),
		Width:       rapid.Uint16Min(1).Draw(t, "width"), Height: rapid.Uint16Min(1).Draw(t, "height"),
		Data:     drawImage(t),
		Extended: rapid.SliceOfN(rapid.Custom(drawExtended), 0, 4).Draw(t, "extended"),
	}
	if f.Certified {
		f.Certifications = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) iso19794.Certification {
			return iso19794.Certification{
				Authority: rapid.Uint16().Draw(t, "authority"),
				Scheme:    drawByte(t, iso19794.SchemeUnspecified, iso19794.SchemeOptical, "scheme"),
			}
		}), 0, 3).Draw(t, "certifications")
	}
	return f
}

func drawIris(t *rapid.T) *iso19794.Iris {
	orientation := anyOf[iso19794.ImageProperties](0, 1, 2, 4, 8, 5, 6, 9, 10).Draw(t, "orientation")
	history := anyOf(0, iso19794.HistoryLossless, iso19794.HistoryLossy).Draw(t, "history")
	ranges := func(label string) (uint16, uint16) {
		low := rapid.Uint16().Draw(t, label)
		return low, rapid.Uint16Min(low).Draw(t, label)
	}
	i := &iso19794.Iris{
		Eyes:           rapid.ByteRange(0, 2).Draw(t, "eyes"),
		Capture:        drawCapture(t, irisTechnologies),
		Representation: rapid.Uint16Min(1).Draw(t, "representation"),
		EyeLabel:       drawByte(t, iso19794.EyeUndefined, iso19794.LeftEye, "label"),
		Kind: anyOf(iso19794.IrisUncropped, iso19794.IrisVGA, iso19794.IrisCropped,
			iso19794.IrisCroppedAndMasked).Draw(t, "kind"),
		ImageFormat: iso19794.IrisFormat(2 * rapid.ByteRange(1, 8).Draw(t, "format")),
		Properties:  orientation | history,
		Width:       rapid.Uint16Min(1).Draw(t, "width"), Height: rapid.Uint16Min(1).Draw(t, "height"),
		BitDepth: rapid.ByteMin(8).Draw(t, "depth"), Range: rapid.Uint16().Draw(t, "range"),
		RollAngle: rapid.Uint16().Draw(t, "angle"), RollUncertainty: rapid.Uint16().Draw(t, "uncertainty"),
		Data: drawImage(t),
	}
	i.CentreXMin, i.CentreXMax = ranges("x")
	i.CentreYMin, i.CentreYMax = ranges("y")
	i.DiameterMin, i.DiameterMax = ranges("diameter")
	return i
}

func drawFace(t *rapid.T) *iso19794.Face {
	pose := func() (a [3]byte) {
		copy(a[:], rapid.SliceOfN(rapid.Byte(), 3, 3).Draw(t, "pose"))
		return a
	}
	f := &iso19794.Face{
		TemporalSemantics: rapid.Uint16().Draw(t, "temporal"),
		Capture:           drawCapture(t, faceTechnologies),
		Gender:            anyOf[iso19794.Gender](0, 1, 2, 255).Draw(t, "gender"),
		EyeColour:         anyOf[iso19794.EyeColour](0, 7, 255).Draw(t, "eyes"),
		HairColour:        anyOf[iso19794.HairColour](0, 7, 255).Draw(t, "hair"),
		SubjectHeight:     rapid.Byte().Draw(t, "height"),
		Properties:        rapid.Uint32Range(0, 0xFFFFFF).Draw(t, "properties"),
		Expression:        rapid.Uint16().Draw(t, "expression"),
		Pose:              pose(), PoseUncertainty: pose(),
		Landmarks: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) iso19794.Landmark {
			return iso19794.Landmark{
				Type: drawByte(t, iso19794.MPEG4, iso19794.Anthropometric3D, "type"), Code: rapid.Byte().Draw(t, "code"),
				X: rapid.Uint16().Draw(t, "x"), Y: rapid.Uint16().Draw(t, "y"), Z: rapid.Uint16().Draw(t, "z"),
			}
		}), 0, 4).Draw(t, "landmarks"),
		ImageType: anyOf[iso19794.FaceImageType](0, 1, 2, 3, 0x80, 0x81, 0x82).Draw(t, "image type"),
		DataType:  drawByte(t, iso19794.FaceJPEG, iso19794.FacePNG, "data type"),
		Width:     rapid.Uint16Min(1).Draw(t, "width"), Height: rapid.Uint16Min(1).Draw(t, "height"),
		SpatialLevel:   rapid.ByteRange(0, 7).Draw(t, "level"),
		PostProcessing: rapid.Uint16().Draw(t, "post"),
		CrossReference: rapid.Byte().Draw(t, "reference"),
		Colour:         anyOf[iso19794.Colour](0, 6, 128, 255).Draw(t, "colour"),
		Data:           drawImage(t),
	}
	if f.ImageType >= iso19794.FaceBasic3D {
		f.Data3D = drawImage(t)
	}
	return f
}

func drawRecord(t *rapid.T) iso19794.Record {
	switch rapid.IntRange(1, 3).Draw(t, "kind") {
	case 1:
		return drawFinger(t)
	case 2:
		return drawIris(t)
	}
	return drawFace(t)
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawRecord(t)
		b, err := want.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if n := binary.BigEndian.Uint32(b[8:]); int(n) != len(b) {
			t.Errorf("record length %d in %d bytes", n, len(b))
		}
		if len(b) != cap(b) {
			t.Errorf("a buffer of %d bytes for a record of %d", cap(b), len(b))
		}
		got, err := iso19794.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("record differs (-want +got):\n%s", diff)
		}
	})
}

func TestEveryTruncationIsRefused(t *testing.T) {
	for name, g := range goldens(t) {
		for n := range len(g.bytes) {
			if _, err := iso19794.Decode(g.bytes[:n]); err == nil {
				t.Errorf("%s cut to %d of %d bytes was read", name, n, len(g.bytes))
			}
		}
	}
}

// A record that was cut and whose lengths were made to fit must be refused
// wherever a field or the image is incomplete. Behind the image a cut between
// two extended blocks, or one into 3D data, cannot be noticed.
func TestEveryTruncationWithMendedLengthsIsRefused(t *testing.T) {
	for name, g := range goldens(t) {
		lengthAt := 16
		if g.record.Format() == iso19794.FormatFace {
			lengthAt = 17
		}
		end := bytes.Index(g.bytes, g.record.Image()) + len(g.record.Image())
		readable := map[int]bool{}
		switch name {
		case "full finger":
			for _, length := range []int{0, 38, 9, 6} {
				end += length
				readable[end] = true
			}
		case "3D face":
			for n := end; n < len(g.bytes); n++ {
				readable[n] = true
			}
		}
		for n := lengthAt + 4; n < len(g.bytes); n++ {
			b := bytes.Clone(g.bytes[:n])
			binary.BigEndian.PutUint32(b[8:], uint32(n))
			binary.BigEndian.PutUint32(b[lengthAt:], uint32(n-lengthAt))
			if _, err := iso19794.Decode(b); (err == nil) != readable[n] {
				t.Errorf("%s cut to %d of %d bytes with mended lengths: %v", name, n, len(g.bytes), err)
			}
		}
	}
}

func TestTrailingBytesAreRefused(t *testing.T) {
	for name, g := range goldens(t) {
		b := append(bytes.Clone(g.bytes), 0)
		if _, err := iso19794.Decode(b); err == nil {
			t.Errorf("%s: a byte more was overlooked", name)
		}
	}
}
