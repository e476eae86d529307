package iso19794_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"sbid/capture/iso19794"
	"sbid/driver"
)

const (
	registration = iso19794.Registration
	auth         = iso19794.Auth
)

// Every value that the standard does not define must be named by the encoder,
// and by Check.
func TestUndefinedValuesAreRefused(t *testing.T) {
	finger := func(change func(*iso19794.Finger)) iso19794.Record {
		f := newFinger(t, registration)
		change(f)
		return f
	}
	iris := func(change func(*iso19794.Iris)) iso19794.Record {
		i := newIris(t, registration)
		change(i)
		return i
	}
	face := func(change func(*iso19794.Face)) iso19794.Record {
		f := newFace(t, registration)
		change(f)
		return f
	}
	extended := func(e iso19794.ExtendedBlock) iso19794.Record {
		return finger(func(f *iso19794.Finger) { f.Extended = []iso19794.ExtendedBlock{e} })
	}
	segment := func(s iso19794.Segment) iso19794.Record {
		return extended(&iso19794.Segmentation{Segments: []iso19794.Segment{s}})
	}
	corners := make([]iso19794.Point, 2)

	for want, r := range map[string]iso19794.Record{
		"number of fingers is 0":           finger(func(f *iso19794.Finger) { f.Fingers = 0 }),
		"256 quality blocks":               finger(func(f *iso19794.Finger) { f.QualityBlocks = make([]iso19794.QualityBlock, 256) }),
		"quality block 1: score 101":       finger(func(f *iso19794.Finger) { f.QualityBlocks[0].Score = 101 }),
		"certification flag is not set":    finger(func(f *iso19794.Finger) { f.Certifications = make([]iso19794.Certification, 1) }),
		"finger position 11":               finger(func(f *iso19794.Finger) { f.FingerPosition = 11 }),
		"finger position 51":               finger(func(f *iso19794.Finger) { f.FingerPosition = 51 }),
		"representation number 16":         finger(func(f *iso19794.Finger) { f.Representation = 16 }),
		"scale units 0":                    finger(func(f *iso19794.Finger) { f.ScaleUnits = 0 }),
		"sampling rate is 0":               finger(func(f *iso19794.Finger) { f.ImageRateV = 0 }),
		"pixel depth 17":                   finger(func(f *iso19794.Finger) { f.BitDepth = 17 }),
		"compression 7":                    finger(func(f *iso19794.Finger) { f.Compression = 7 }),
		"impression type 16":               finger(func(f *iso19794.Finger) { f.Impression = 16 }),
		"impression type 27":               finger(func(f *iso19794.Finger) { f.Impression = 27 }),
		"image size 0 x 400":               finger(func(f *iso19794.Finger) { f.Width = 0 }),
		"no image":                         finger(func(f *iso19794.Finger) { f.Data = nil }),
		"technology 21":                    finger(func(f *iso19794.Finger) { f.Technology = 21 }),
		"segmentation score 101":           extended(&iso19794.Segmentation{Score: 101}),
		"256 segments":                     extended(&iso19794.Segmentation{Segments: make([]iso19794.Segment, 256)}),
		"segment 1: finger position 12":    segment(iso19794.Segment{Position: 12, Outline: corners}),
		"segment 1: quality 254":           segment(iso19794.Segment{Quality: 254, Outline: corners}),
		"outline of 1 points":              segment(iso19794.Segment{Outline: corners[:1]}),
		"256 annotated fingers":            extended(&iso19794.Annotation{Fingers: make([]iso19794.AnnotatedFinger, 256)}),
		"annotation 1: finger position 37": extended(&iso19794.Annotation{Fingers: []iso19794.AnnotatedFinger{{37, 1}}}),
		"annotation 1: reason 3":           extended(&iso19794.Annotation{Fingers: []iso19794.AnnotatedFinger{{1, 3}}}),
		"type 2 of a comment":              extended(&iso19794.Comment{Type: 2}),
		"not ASCII":                        extended(&iso19794.Comment{Type: 3, Text: "é"}),
		"65536 bytes: at most":             extended(&iso19794.Comment{Type: 3, Text: strings.Repeat("x", 65532)}),
		"type 255 of a vendor block":       extended(&iso19794.VendorBlock{Type: 255}),
		"scheme 4": finger(func(f *iso19794.Finger) {
			f.Certified, f.Certifications = true, []iso19794.Certification{{1, 4}}
		}),
		"256 certifications": finger(func(f *iso19794.Finger) {
			f.Certified, f.Certifications = true, make([]iso19794.Certification, 256)
		}),

		"number of eyes 3":                   iris(func(i *iso19794.Iris) { i.Eyes = 3 }),
		"technology 2":                       iris(func(i *iso19794.Iris) { i.Technology = 2 }),
		"representation number 0":            iris(func(i *iso19794.Iris) { i.Representation = 0 }),
		"eye label 3":                        iris(func(i *iso19794.Iris) { i.EyeLabel = 3 }),
		"image type 4":                       iris(func(i *iso19794.Iris) { i.Kind = 4 }),
		"image format 0xb":                   iris(func(i *iso19794.Iris) { i.ImageFormat = 0x0B }),
		"image format 0x12":                  iris(func(i *iso19794.Iris) { i.ImageFormat = 0x12 }),
		"horizontal orientation 3":           iris(func(i *iso19794.Iris) { i.Properties = 0x43 }),
		"vertical orientation 3":             iris(func(i *iso19794.Iris) { i.Properties = 0x4C }),
		"compression history 3":              iris(func(i *iso19794.Iris) { i.Properties = 0xC0 }),
		"bits 4 and 5":                       iris(func(i *iso19794.Iris) { i.Properties = 0x50 }),
		"bit depth 7":                        iris(func(i *iso19794.Iris) { i.BitDepth = 7 }),
		"least value is above the greatest":  iris(func(i *iso19794.Iris) { i.CentreXMin = 1 }),
		"technology 7":                       face(func(f *iso19794.Face) { f.Technology = 7 }),
		"gender 3":                           face(func(f *iso19794.Face) { f.Gender = 3 }),
		"eye colour 8":                       face(func(f *iso19794.Face) { f.EyeColour = 8 }),
		"hair colour 8":                      face(func(f *iso19794.Face) { f.HairColour = 8 }),
		"more than 24 bits":                  face(func(f *iso19794.Face) { f.Properties = 1 << 24 }),
		"65536 landmarks":                    face(func(f *iso19794.Face) { f.Landmarks = make([]iso19794.Landmark, 65536) }),
		"landmark 1: type 0":                 face(func(f *iso19794.Face) { f.Landmarks = make([]iso19794.Landmark, 1) }),
		"face image type 4":                  face(func(f *iso19794.Face) { f.ImageType = 4 }),
		"face image type 131":                face(func(f *iso19794.Face) { f.ImageType = 131 }),
		"image data type 4":                  face(func(f *iso19794.Face) { f.DataType = 4 }),
		"spatial sampling rate level 8":      face(func(f *iso19794.Face) { f.SpatialLevel = 8 }),
		"colour space 7":                     face(func(f *iso19794.Face) { f.Colour = 7 }),
		"3D data behind an image of type 1":  face(func(f *iso19794.Face) { f.Data3D = []byte{1} }),
		"no 3D data behind an image of type": face(func(f *iso19794.Face) { f.ImageType = iso19794.FaceBasic3D }),
	} {
		t.Run(want, func(t *testing.T) {
			if _, err := r.MarshalBinary(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("encode: %v", err)
			}
			found := iso19794.Check(r, registration)
			if !slices.ContainsFunc(found, func(f iso19794.Finding) bool { return strings.Contains(f.Text, want) }) {
				t.Errorf("Check: %v", found)
			}
		})
	}
}

// What the standard allows and MOSIP does not.
func TestProfilesRefuse(t *testing.T) {
	for _, tt := range []struct {
		profile iso19794.Profile
		want    string
		change  func(*iso19794.Finger)
	}{
		{registration, "horizontal scan sampling rate 489", func(f *iso19794.Finger) { f.ScanRateH, f.ImageRateH = 489, 490 }},
		{auth, "vertical image sampling rate 1011", func(f *iso19794.Finger) { f.ImageRateV = 1011 }},
		{auth, "above the scan sampling rate", func(f *iso19794.Finger) { f.ImageRateV = 501 }},
		{registration, "pixel depth 16", func(f *iso19794.Finger) { f.BitDepth = 16 }},
		{registration, "registration needs 5", func(f *iso19794.Finger) { f.Compression = iso19794.JPEG2000Lossy }},
		{registration, "registration needs 5", func(f *iso19794.Finger) { f.Compression = iso19794.PNG }},
		{auth, "authentication needs 4", func(f *iso19794.Finger) { f.Compression = iso19794.JPEG2000Lossless }},
		{auth, "not a WSQ file", func(f *iso19794.Finger) { f.Compression = iso19794.WSQ }},
		{auth, "not a JP2 file", func(f *iso19794.Finger) { f.Data = wsq }},
	} {
		t.Run(tt.want, func(t *testing.T) {
			f := newFinger(t, tt.profile)
			tt.change(f)
			encode(t, f)
			refused := refusals(iso19794.Check(f, tt.profile))
			if !slices.ContainsFunc(refused, func(s string) bool { return strings.Contains(s, tt.want) }) {
				t.Errorf("refused for %q", refused)
			}
		})
	}

	iris := newIris(t, registration)
	iris.EyeLabel = iso19794.EyeUndefined
	wantRefused(t, iris, registration, "eye label 0")
	iris = newIris(t, registration)
	iris.Representation = 2
	wantRefused(t, iris, registration, "representation number 2")
	iris = newIris(t, registration)
	iris.Properties = iso19794.HistoryLossy
	wantRefused(t, iris, registration, "compression history 2: Registration needs 1")
	iris = newIris(t, auth)
	iris.BitDepth = 12
	wantRefused(t, iris, auth, "bit depth 12")

	face := newFace(t, registration)
	face.TemporalSemantics = 1
	wantRefused(t, face, registration, "temporal semantics 1")
	face = newFace(t, auth)
	face.DataType = iso19794.FaceJPEG2000Lossless
	wantRefused(t, face, auth, "image data type 2, JPEG 2000 lossless: Auth needs 1, JPEG 2000 lossy")
}

func TestToleratedDeparturesAreWarnings(t *testing.T) {
	finger := newFinger(t, registration)
	finger.Representation = 1
	wantWarning(t, iso19794.Check(finger, registration), "the first is 0")
	finger = newFinger(t, registration)
	finger.ScaleUnits = iso19794.PixelsPerCentimetre
	wantWarning(t, iso19794.Check(finger, registration), "takes for pixels per inch")
	finger = newFinger(t, registration)
	finger.QualityBlocks = nil
	wantWarning(t, iso19794.Check(finger, registration), "no quality block")

	iris := newIris(t, registration)
	iris.DiameterMin, iris.DiameterMax = 180, 209
	wantWarning(t, iso19794.Check(iris, registration), "209 pixels wide: should be 210")
	iris = newIris(t, auth)
	iris.DiameterMax = 149
	wantWarning(t, iso19794.Check(iris, auth), "should be 150")

	face := newFace(t, registration)
	face.ImageType = iso19794.FaceBasic
	wantWarning(t, iso19794.Check(face, registration), "full frontal")
	face = newFace(t, registration)
	face.Colour = iso19794.ColourUnspecified
	wantWarning(t, iso19794.Check(face, registration), "RGB")
	image := iso19794.Decoded{Width: 300, Height: 400, Components: 3}
	wantWarning(t, iso19794.CheckImage(newFace(t, registration), registration, image), "does not fit")
}

func TestCheckImage(t *testing.T) {
	good := iso19794.Decoded{Width: 300, Height: 400, Components: 1, Reversible: true, DPI: 500}
	small, colour := good, good
	small.Height = 399
	colour.Components = 3
	for _, tt := range []struct {
		name   string
		record iso19794.Record
		image  iso19794.Decoded
		want   string
	}{
		{"other size", newFinger(t, registration), small, "the image has 300 x 399"},
		{"colour finger", newFinger(t, registration), colour, "3 components"},
		{"colour iris", newIris(t, registration), colour, "3 components"},
		{"grey face", newFace(t, registration), good, "1 components"},
	} {
		refused := refusals(iso19794.CheckImage(tt.record, registration, tt.image))
		if len(refused) != 1 || !strings.Contains(refused[0], tt.want) {
			t.Errorf("%s: refused for %q, want %q", tt.name, refused, tt.want)
		}
	}
	wantNothing(t, iso19794.CheckImage(newIris(t, registration), registration, good))
	colour.Reversible = true
	wantNothing(t, iso19794.CheckImage(newFace(t, registration), registration, colour))
}

func TestNewRefusesWhatIsNoRecord(t *testing.T) {
	tiny, wide, coarse := sample(driver.LeftIndex), sample(driver.LeftIndex), sample(driver.LeftIndex)
	tiny.Width, wide.Height, coarse.DPI = 0, 65536, 65536+500
	lowRes := sample(driver.LeftIndex)
	lowRes.DPI = 300
	for _, s := range []iso19794.Sample{tiny, wide, coarse, lowRes} {
		if r, err := iso19794.New(registration, s); err == nil || r != nil {
			t.Errorf("%dx%d at %d dpi: %v, %v", s.Width, s.Height, s.DPI, r, err)
		}
	}
	if _, err := iso19794.New(0, sample(driver.LeftIndex)); err == nil {
		t.Error("a record for no profile")
	}
	_, fingerErr := iso19794.NewFinger(auth, sample(driver.LeftIris))
	_, irisErr := iso19794.NewIris(auth, sample(driver.FullFace))
	_, faceErr := iso19794.NewFace(auth, sample(driver.LeftIndex))
	if fingerErr == nil || irisErr == nil || faceErr == nil {
		t.Errorf("records of the wrong modality: %v, %v, %v", fingerErr, irisErr, faceErr)
	}
}

func TestNewMakesAcceptedRecordsOfEveryPosition(t *testing.T) {
	for p := driver.RightThumb; p <= driver.FullFace; p++ {
		if p == driver.UnknownIris {
			continue
		}
		for _, profile := range []iso19794.Profile{registration, auth} {
			r, err := iso19794.New(profile, sample(p))
			if err != nil {
				t.Fatal(err)
			}
			again, err := iso19794.Decode(encode(t, r))
			if err != nil {
				t.Fatal(err)
			}
			wantNothing(t, iso19794.Check(again, profile))
			if got, ok := again.Position(); got != p || !ok {
				t.Errorf("a record of %v says %v", p, got)
			}
			if score, ok := again.Quality(); score != 70 || !ok {
				t.Errorf("quality %d, %v", score, ok)
			}
			if at, ok := again.CapturedAt(); !ok || !at.Equal(sample(p).Captured) {
				t.Errorf("captured at %v, %v", at, ok)
			}
			if w, h := again.Size(); w != 300 || h != 400 || !bytes.Equal(again.Image(), jp2) {
				t.Errorf("image of %d x %d pixels, %d bytes", w, h, len(again.Image()))
			}
		}
	}
}

func TestQualityUnknown(t *testing.T) {
	f := newFinger(t, registration)
	f.QualityBlocks[0].Score = iso19794.QualityFailed
	if _, ok := f.Quality(); ok {
		t.Error("a failed score counts as one")
	}
	f.QualityBlocks = nil
	if _, ok := f.Quality(); ok {
		t.Error("a score without a block")
	}
}

func TestDateTimeString(t *testing.T) {
	d := iso19794.DateTime{2026, 2, 3, 4, 5, 6, 7}
	noTime, noDate := iso19794.UnknownDateTime(), iso19794.UnknownDateTime()
	noTime.Year, noTime.Month, noTime.Day = 2026, 2, 3
	noDate.Hour, noDate.Minute, noDate.Second, noDate.Millisecond = 4, 5, 6, 7
	for want, d := range map[string]iso19794.DateTime{
		"2026-02-03T04:05:06.007Z": d,
		"2026-02-03":               noTime,
		"T04:05:06.007Z":           noDate,
		"unknown":                  iso19794.UnknownDateTime(),
	} {
		if got := d.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	leap := iso19794.DateTime{2026, 2, 29, 0, 0, 0, 0}
	if _, ok := leap.Time(); ok {
		t.Error("29 February 2026 has a time")
	}
}

func TestSpatialLevel(t *testing.T) {
	for width, want := range map[int]byte{0: 0, 180: 0, 181: 1, 240: 1, 300: 2, 370: 3, 371: 4, 610: 5, 750: 6, 751: 7} {
		if got := iso19794.SpatialLevel(width); got != want {
			t.Errorf("a head %d pixels wide has level %d, want %d", width, got, want)
		}
	}
}

func TestDecodeRefusesWhatIsNoRecord(t *testing.T) {
	for _, b := range [][]byte{nil, {}, []byte("FI"), []byte("FIR"), []byte("FIR "), []byte("<BIR>"), jp2} {
		if r, err := iso19794.Decode(b); err == nil || r != nil {
			t.Errorf("%.8q: %v, %v", b, r, err)
		}
	}
	if _, err := iso19794.DecodeIris(unhex(t, fingerHex)); err == nil {
		t.Error("a finger record passes for an iris")
	}
}

func TestDecodeRefusesMisshapenExtendedBlocks(t *testing.T) {
	for name, block := range map[string]string{
		"half a header":         `00 03 00`,
		"length below 4":        `00 03 00 03`,
		"length beyond the end": `00 03 00 05`,
		"reserved type":         `00 00 00 04`,
		"annotation too short":  `00 02 00 06 01 01`,
		"annotation too long":   `00 02 00 08 01 01 01 00`,
		"segment cut off":       `00 01 00 0E 0000 0000 00 0000 0000 01`,
	} {
		b := append(unhex(t, fingerHex), unhex(t, block)...)
		b[11], b[19] = byte(len(b)), byte(len(b)-16)
		if _, err := iso19794.Decode(b); err == nil || !strings.Contains(err.Error(), "offset") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An image must not get into a log by way of its record.
func TestLogsHideImages(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	s := sample(driver.LeftIndex)
	s.Image = append(slices.Clone(jp2), "ridges"...)
	logger.Info("sample", "sample", s)
	for _, p := range []driver.Position{driver.LeftIndex, driver.LeftIris, driver.FullFace} {
		s.Position = p
		r, err := iso19794.New(registration, s)
		if err != nil {
			t.Fatal(err)
		}
		logger.Info("record", "record", r)
	}
	if out := log.String(); strings.Contains(out, "ridges") || strings.Contains(out, "Data") ||
		!strings.Contains(out, "record.position=left-iris") || !strings.Contains(out, fmt.Sprint("bytes=", len(s.Image))) {
		t.Error(out)
	}
}
