package iso19794_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"sbid/capture/iso19794"
	"sbid/driver"
)

// The tests of this file are one for each way in which implementations of these
// records are known to go wrong, or to part from MOSIP's.

var (
	jp2 = append([]byte("\x00\x00\x00\x0CjP  \r\n\x87\n"), make([]byte, 5000)...)
	wsq = append([]byte{0xFF, 0xA0, 0xFF, 0xA8}, make([]byte, 9000)...)
)

// sample is a capture that MOSIP would accept.
func sample(p driver.Position) iso19794.Sample {
	return iso19794.Sample{
		Position: p,
		Captured: time.Date(2026, 11, 22, 12, 30, 56, 789e6, time.UTC),
		Quality:  iso19794.QualityBlock{Score: 70, Vendor: iso19794.VendorSC37, Algorithm: iso19794.NFIQ2_3},
		Width:    300, Height: 400, DPI: 500,
		Image: jp2,
	}
}

func newFinger(t *testing.T, p iso19794.Profile) *iso19794.Finger {
	t.Helper()
	f, err := iso19794.NewFinger(p, sample(driver.LeftIndex))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func newIris(t *testing.T, p iso19794.Profile) *iso19794.Iris {
	t.Helper()
	i, err := iso19794.NewIris(p, sample(driver.LeftIris))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func newFace(t *testing.T, p iso19794.Profile) *iso19794.Face {
	t.Helper()
	f, err := iso19794.NewFace(p, sample(driver.FullFace))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func encode(t *testing.T, r iso19794.Record) []byte {
	t.Helper()
	b, err := r.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wantRefused expects that Check refuses r, and only for reasons with this text.
func wantRefused(t *testing.T, r iso19794.Record, p iso19794.Profile, text string) {
	t.Helper()
	refused := refusals(iso19794.Check(r, p))
	if len(refused) != 1 || !strings.Contains(refused[0], text) {
		t.Errorf("refused for %q, want one refusal with %q", refused, text)
	}
}

func wantWarning(t *testing.T, found []iso19794.Finding, text string) {
	t.Helper()
	if refused := refusals(found); refused != nil {
		t.Errorf("refused for %q", refused)
	}
	if !slices.ContainsFunc(found, func(f iso19794.Finding) bool { return strings.Contains(f.Text, text) }) {
		t.Errorf("findings %v, want a warning with %q", found, text)
	}
}

func wantNothing(t *testing.T, found []iso19794.Finding) {
	t.Helper()
	if len(found) > 0 {
		t.Errorf("findings %v, want none", found)
	}
}

func refusals(found []iso19794.Finding) []string {
	var texts []string
	for _, f := range found {
		if f.Refused {
			texts = append(texts, f.Text)
		}
	}
	return texts
}

func TestTrapShortWSQDoesNotDecodeInMOSIP(t *testing.T) {
	s := sample(driver.LeftIndex)
	s.Image = wsq[:8262]
	if _, err := iso19794.NewFinger(iso19794.Auth, s); err == nil || !strings.Contains(err.Error(), "8263") {
		t.Errorf("WSQ of 8262 bytes: %v", err)
	}
	s.Image = wsq[:8263]
	if _, err := iso19794.NewFinger(iso19794.Auth, s); err != nil {
		t.Errorf("WSQ of 8263 bytes: %v", err)
	}
}

func TestTrapFacePropertyMaskAboveTheReadersEnumeration(t *testing.T) {
	f := newFace(t, iso19794.Registration)
	f.Properties = 0x11
	wantNothing(t, iso19794.Check(f, iso19794.Registration))
	f.Properties = 0x000402
	wantRefused(t, f, iso19794.Registration, "properties 0x402")
}

func TestTrapReversibleWaveletIsLosslessHoweverTruncated(t *testing.T) {
	image := iso19794.Decoded{Width: 300, Height: 400, Components: 1, Reversible: true, DPI: 500}
	for _, r := range []iso19794.Record{newFinger(t, iso19794.Auth), newIris(t, iso19794.Auth)} {
		refused := refusals(iso19794.CheckImage(r, iso19794.Auth, image))
		if len(refused) != 1 || !strings.Contains(refused[0], "9/7") {
			t.Errorf("%s: 5/3 for authentication: refused for %q", r.Format(), refused)
		}
	}
	image.Reversible = false
	for _, r := range []iso19794.Record{newFinger(t, iso19794.Registration), newIris(t, iso19794.Registration)} {
		refused := refusals(iso19794.CheckImage(r, iso19794.Registration, image))
		if len(refused) != 1 || !strings.Contains(refused[0], "5/3") {
			t.Errorf("%s: 9/7 for registration: refused for %q", r.Format(), refused)
		}
	}
}

func TestTrapIrisRegistrationTakesCroppedImagesOnly(t *testing.T) {
	i := newIris(t, iso19794.Registration)
	wantNothing(t, iso19794.Check(i, iso19794.Registration))
	i.Kind = iso19794.IrisVGA
	wantRefused(t, i, iso19794.Registration, "image type 2: Registration needs 3")
}

func TestTrapCodestreamIsNotAJP2File(t *testing.T) {
	codestream := append([]byte{0xFF, 0x4F, 0xFF, 0x51}, make([]byte, 5000)...)
	finger, iris, face := newFinger(t, iso19794.Auth), newIris(t, iso19794.Auth), newFace(t, iso19794.Auth)
	finger.Data, iris.Data, face.Data = codestream, codestream, codestream
	for _, r := range []iso19794.Record{finger, iris, face} {
		wantRefused(t, r, iso19794.Auth, "bare JPEG 2000 codestream")
	}
}

func TestTrapFalsifiedLengthsAreNotBelieved(t *testing.T) {
	for name, g := range goldens(t) {
		lengthAt := 16
		if g.record.Format() == iso19794.FormatFace {
			lengthAt = 17
		}
		imageLengthAt := bytes.Index(g.bytes, g.record.Image()) - 4
		fields := []int{8, lengthAt, imageLengthAt}
		if name == "3D face" { // where its image ends and its 3D data begins, nothing else tells
			fields = fields[:2]
		}
		for _, at := range fields {
			for _, value := range []uint32{0, binary.BigEndian.Uint32(g.bytes[at:]) + 1, 1 << 31, 1<<32 - 1} {
				b := bytes.Clone(g.bytes)
				binary.BigEndian.PutUint32(b[at:], value)
				if _, err := iso19794.Decode(b); err == nil {
					t.Errorf("%s: length %d at offset %d was believed", name, value, at)
				}
			}
		}
	}
}

func TestTrapLengthsIncludeThemselves(t *testing.T) {
	f := newFinger(t, iso19794.Registration)
	f.Extended = []iso19794.ExtendedBlock{&iso19794.Comment{Type: iso19794.CommentType, Text: "four"}}
	b := encode(t, f)
	if n := binary.BigEndian.Uint32(b[8:]); int(n) != len(b) {
		t.Errorf("record length %d of %d bytes", n, len(b))
	}
	if n := binary.BigEndian.Uint32(b[16:]); int(n) != len(b)-16 {
		t.Errorf("representation length %d of %d bytes from the field on", n, len(b)-16)
	}
	if n := binary.BigEndian.Uint16(b[len(b)-6:]); n != 8 {
		t.Errorf("block length %d of a header of 4 and a text of 4 bytes", n)
	}
}

func TestTrapHeaderWidthsDifferBetweenRecords(t *testing.T) {
	for _, tt := range []struct {
		record  iso19794.Record
		imageAt int // with one quality block
	}{
		{newFinger(t, iso19794.Registration), 62},
		{newIris(t, iso19794.Registration), 73},
		{newFace(t, iso19794.Registration), 73},
	} {
		if at := bytes.Index(encode(t, tt.record), jp2); at != tt.imageAt {
			t.Errorf("%s: image at %d, want %d", tt.record.Format(), at, tt.imageAt)
		}
	}
	finger, iris := encode(t, newFinger(t, iso19794.Registration)), encode(t, newIris(t, iso19794.Registration))
	if got := finger[41]; got != 0 {
		t.Errorf("a finger's first representation has number %d, want 0", got)
	}
	if got := binary.BigEndian.Uint16(iris[40:]); got != 1 {
		t.Errorf("an iris' first representation has number %d, want 1", got)
	}
}

func TestTrapVersionTextDiffersBetweenRecords(t *testing.T) {
	for _, tt := range []struct {
		record iso19794.Record
		want   []byte
	}{
		{newFinger(t, iso19794.Registration), []byte{0x46, 0x49, 0x52, 0, 0x30, 0x32, 0x30, 0}},
		{newIris(t, iso19794.Registration), []byte{0x49, 0x49, 0x52, 0, 0x30, 0x32, 0x30, 0}},
		{newFace(t, iso19794.Registration), []byte{0x46, 0x41, 0x43, 0, 0x30, 0x33, 0x30, 0}},
	} {
		b := encode(t, tt.record)
		if !bytes.Equal(b[:8], tt.want) {
			t.Errorf("record begins % x, want % x", b[:8], tt.want)
		}
		for _, version := range []string{"010\x00", "020\x00", "030\x00", "020 ", "\x00020"} {
			copy(b[4:], version)
			_, err := iso19794.Decode(b)
			if (err == nil) != (version == string(tt.want[4:])) {
				t.Errorf("%s of version %q: %v", tt.record.Format(), version, err)
			}
		}
	}
}

func TestTrapLayoutOf2005IsRefused(t *testing.T) {
	// A face record of 2005: 14 bytes of header, then a representation of 32
	// bytes and its image.
	face2005 := unhex(t, `46414300 30313000 00000032 0001
		00000024 0000 01 00 00 000000 0000 000000 000000 01 00 00F0 0140 01 02 0000 0000 A0A1A2A3`)
	if _, err := iso19794.Decode(face2005); err == nil || !strings.Contains(err.Error(), "2005") {
		t.Errorf("decode the layout of 2005: %v", err)
	}
}

func TestTrapCertificationCountIsThereEvenWhenItIsZero(t *testing.T) {
	f := newFinger(t, iso19794.Registration)
	plain := encode(t, f)
	f.Certified = true
	b := encode(t, f)
	if len(b) != len(plain)+1 || b[14] != 1 || b[40] != 0 {
		t.Errorf("%d bytes with an empty list of certifications, %d without; flag %d, count %d",
			len(b), len(plain), b[14], b[40])
	}
	if again, err := iso19794.DecodeFinger(b); err != nil || !again.Certified || again.FingerPosition != f.FingerPosition {
		t.Errorf("decode: %+v, %v", again, err)
	}
	for _, r := range []iso19794.Record{newIris(t, iso19794.Registration), newFace(t, iso19794.Registration)} {
		b := encode(t, r)
		b[14] = 1
		if _, err := iso19794.Decode(b); err == nil {
			t.Errorf("%s: certification flag 1 was accepted", r.Format())
		}
	}
}

func TestTrapSegmentationHasVendorBeforeAlgorithm(t *testing.T) {
	f := newFinger(t, iso19794.Registration)
	f.Extended = []iso19794.ExtendedBlock{&iso19794.Segmentation{QualityVendor: 0x0040, QualityAlgorithm: 0x000F}}
	b := encode(t, f)
	if block := b[len(b)-14:]; !bytes.Equal(block[9:13], []byte{0, 0x40, 0, 0x0F}) {
		t.Errorf("segmentation block % x", block)
	}
}

func TestTrapExtendedBlocksThatMOSIPsReaderStumblesOver(t *testing.T) {
	segmentation, annotation := &iso19794.Segmentation{}, &iso19794.Annotation{}
	comment := &iso19794.Comment{Type: iso19794.CommentType}
	for name, tt := range map[string]struct {
		blocks []iso19794.ExtendedBlock
		refuse string
	}{
		"one of each":    {[]iso19794.ExtendedBlock{segmentation, annotation, comment}, ""},
		"only a comment": {[]iso19794.ExtendedBlock{comment}, ""},
		"two comments":   {[]iso19794.ExtendedBlock{comment, &iso19794.Comment{Type: 4}}, "in this order"},
		"wrong order":    {[]iso19794.ExtendedBlock{annotation, segmentation}, "in this order"},
		"vendor block":   {[]iso19794.ExtendedBlock{&iso19794.VendorBlock{Type: 0x100}}, "vendor block"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFinger(t, iso19794.Registration)
			f.Extended = tt.blocks
			if tt.refuse == "" {
				wantNothing(t, iso19794.Check(f, iso19794.Registration))
			} else {
				wantRefused(t, f, iso19794.Registration, tt.refuse)
			}
		})
	}
}

func TestTrapPixelsPerCentimetreAreLegalButUseless(t *testing.T) {
	f := newFinger(t, iso19794.Registration)
	f.ScaleUnits = iso19794.PixelsPerCentimetre
	f.ScanRateH, f.ScanRateV, f.ImageRateH, f.ImageRateV = 197, 197, 197, 197
	encode(t, f)
	refused := refusals(iso19794.Check(f, iso19794.Registration))
	if len(refused) != 4 || !strings.Contains(refused[0], "sampling rate 197: must be 490 to 1010") {
		t.Errorf("refused for %q", refused)
	}
}

func TestTrapDatesAreUTCWithMonthsFromOne(t *testing.T) {
	s := sample(driver.LeftIndex)
	s.Captured = time.Date(2026, time.January, 1, 0, 30, 0, 999999999, time.FixedZone("", 3600))
	f, err := iso19794.NewFinger(iso19794.Registration, s)
	if err != nil {
		t.Fatal(err)
	}
	want := unhex(t, "07E9 0C 1F 17 1E 00 03E7") // 2025-12-31 23:30:00.999
	if got := encode(t, f)[20:29]; !bytes.Equal(got, want) {
		t.Errorf("date % x, want % x", got, want)
	}
}

func TestTrapUnknownDateTimesComeInFourShapes(t *testing.T) {
	known := iso19794.DateTime{2026, 2, 28, 23, 59, 59, 0}
	unknown := iso19794.UnknownDateTime()
	noTime, noDate := known, unknown
	noTime.Hour, noTime.Minute, noTime.Second, noTime.Millisecond = 0xFF, 0xFF, 0xFF, 0xFFFF
	noDate.Hour, noDate.Minute, noDate.Second, noDate.Millisecond = 1, 2, 3, 4
	for _, d := range []iso19794.DateTime{known, noTime, noDate, unknown} {
		f := newFinger(t, iso19794.Registration)
		f.Captured = d
		wantNothing(t, iso19794.Check(f, iso19794.Registration))
		if _, ok := f.CapturedAt(); ok != (d == known) {
			t.Errorf("%v: time known is %v", d, ok)
		}
	}
	noDay, noMillisecond, month0, month13, zero := known, known, known, known, iso19794.DateTime{}
	noDay.Day, noMillisecond.Millisecond, month0.Month, month13.Month = 0xFF, 0xFFFF, 0, 13
	for _, d := range []iso19794.DateTime{noDay, noMillisecond, month0, month13, zero} {
		f := newFinger(t, iso19794.Registration)
		f.Captured = d
		wantRefused(t, f, iso19794.Registration, "date-time")
		if _, err := f.MarshalBinary(); err == nil {
			t.Errorf("%v was encoded", d)
		}
	}
}

func TestTrapVendorAndTypeAreBothZeroOrNeither(t *testing.T) {
	for _, tt := range []struct {
		vendor, kind uint16
		ok           bool
	}{{0, 0, true}, {0x40, 1, true}, {0x40, 0, false}, {0, 1, false}} {
		finger, iris, face := newFinger(t, iso19794.Auth), newIris(t, iso19794.Auth), newFace(t, iso19794.Auth)
		for _, c := range []*iso19794.Capture{&finger.Capture, &iris.Capture, &face.Capture} {
			c.DeviceVendor, c.DeviceType = tt.vendor, tt.kind
		}
		for _, r := range []iso19794.Record{finger, iris, face} {
			if tt.ok {
				wantNothing(t, iso19794.Check(r, iso19794.Auth))
			} else {
				wantRefused(t, r, iso19794.Auth, "device vendor")
			}
		}
	}
}

func TestTrapFailedQualityIs255(t *testing.T) {
	for score, ok := range map[byte]bool{0: true, 100: true, 101: false, 254: false, 255: true} {
		s := sample(driver.RightIris)
		s.Quality.Score = score
		_, err := iso19794.NewIris(iso19794.Auth, s)
		if (err == nil) != ok {
			t.Errorf("score %d: %v", score, err)
		}
	}
}

func TestTrapConstantsOfMOSIPsEncoderNotToCopy(t *testing.T) {
	if f := newFinger(t, iso19794.Registration); f.Impression != iso19794.LiveScanPlain {
		t.Errorf("impression %d, want a live scan", f.Impression)
	}
	s := sample(driver.FullFace)
	s.Technology = byte(iso19794.TechFaceVideoDigital)
	f, err := iso19794.NewFace(iso19794.Registration, s)
	if err != nil {
		t.Fatal(err)
	}
	f.SpatialLevel = iso19794.SpatialLevel(310)
	f.Pose = [3]byte{3, 2, 1}
	f.Landmarks = []iso19794.Landmark{{Type: iso19794.MPEG4, Code: 0xC1, X: 1, Y: 2}}
	again, err := iso19794.DecodeFace(encode(t, f))
	if err != nil {
		t.Fatal(err)
	}
	if again.Technology != iso19794.TechFaceVideoDigital || again.SpatialLevel != 3 || again.Pose != f.Pose ||
		len(again.Landmarks) != 1 || again.QualityBlocks[0] != s.Quality {
		t.Errorf("encoded %+v, decoded %+v", f, again)
	}
}

func TestTrapIrisFormatsChangedTheirCodesIn2011(t *testing.T) {
	if got := newIris(t, iso19794.Registration).ImageFormat; got != 0x0A {
		t.Errorf("JPEG 2000 has format %#x, want 0x0a", byte(got))
	}
	i := newIris(t, iso19794.Registration)
	i.ImageFormat = 0x0E // JPEG 2000 in 2005, PNG in 2011
	wantRefused(t, i, iso19794.Registration, "mono PNG")
}

func TestTrapEyeLabelOneIsRight(t *testing.T) {
	for position, label := range map[driver.Position]byte{
		driver.UnknownIris: 0, driver.RightIris: 1, driver.LeftIris: 2,
	} {
		i, err := iso19794.NewIris(iso19794.Auth, sample(position))
		if err != nil {
			t.Fatal(err)
		}
		if got := encode(t, i)[42]; got != label {
			t.Errorf("%v has label %d, want %d", position, got, label)
		}
		if got, ok := i.Position(); got != position || !ok {
			t.Errorf("label %d is %v, want %v", label, got, position)
		}
	}
}

func TestTrapResolutionOfImageAndHeaderMustAgree(t *testing.T) {
	f := newFinger(t, iso19794.Registration)
	image := iso19794.Decoded{Width: 300, Height: 400, Components: 1, Reversible: true, DPI: 500}
	wantNothing(t, iso19794.CheckImage(f, iso19794.Registration, image))
	image.DPI = 1000
	wantWarning(t, iso19794.CheckImage(f, iso19794.Registration, image), "the image says 1000 dpi, the header 500")
	image.DPI = 0
	wantWarning(t, iso19794.CheckImage(f, iso19794.Registration, image), "should be 490 to 1010")
}

func TestTrapCompressionRatioIsOnlyAWarning(t *testing.T) {
	i := newIris(t, iso19794.Auth)
	i.Width, i.Height = 400, 320
	i.Data = jp2[:4000]
	image := iso19794.Decoded{Width: 400, Height: 320, Components: 1}
	wantWarning(t, iso19794.CheckImage(i, iso19794.Auth, image), "compressed 32 to 1")
	i.Data = jp2[:3499]
	wantWarning(t, iso19794.Check(i, iso19794.Auth), "image of 3499 bytes")

	f := newFinger(t, iso19794.Auth)
	f.Compression, f.Data = iso19794.WSQ, wsq
	image = iso19794.Decoded{Width: 300, Height: 400, Components: 1, DPI: 500}
	wantNothing(t, iso19794.CheckImage(f, iso19794.Auth, image)) // 13 to 1, whatever MOSIP's arithmetic says
}

func TestTrapSlapsAndSeveralRepresentationsFail(t *testing.T) {
	for _, p := range []iso19794.FingerPosition{
		iso19794.RightFourFingers, iso19794.LeftFourFingers, iso19794.TwoThumbs,
	} {
		f := newFinger(t, iso19794.Registration)
		f.FingerPosition = p
		wantRefused(t, f, iso19794.Registration, "must be one finger")
		if _, ok := f.Position(); ok {
			t.Errorf("position %d passes for one finger", p)
		}
	}
	f := newFinger(t, iso19794.Registration)
	f.Fingers = 4
	wantRefused(t, f, iso19794.Registration, "number of fingers 4")
	i := newIris(t, iso19794.Registration)
	i.Eyes = 2
	wantRefused(t, i, iso19794.Registration, "number of eyes 2")
	for _, r := range []iso19794.Record{f, i, newFace(t, iso19794.Registration)} {
		b := encode(t, r)
		b[13] = 2
		if _, err := iso19794.Decode(b); err == nil || !strings.Contains(err.Error(), "2 representations") {
			t.Errorf("%s with two representations: %v", r.Format(), err)
		}
	}
}

func TestTrapUnknownPositionOnlyForAuthentication(t *testing.T) {
	for _, p := range []driver.Position{driver.UnknownFinger, driver.UnknownIris} {
		if _, err := iso19794.New(iso19794.Auth, sample(p)); err != nil {
			t.Errorf("%v for authentication: %v", p, err)
		}
		if _, err := iso19794.New(iso19794.Registration, sample(p)); err == nil {
			t.Errorf("%v for registration was accepted", p)
		}
	}
}
