package iso19794

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"sbid/driver"
)

// A Sample is an image of one finger, eye or face that is to become a record.
type Sample struct {
	Position      driver.Position
	Captured      time.Time // zero if not known
	Quality       QualityBlock
	Width, Height int    // pixels
	DPI           int    // of fingers: pixels per inch of the image
	ScanDPI       int    // of fingers: pixels per inch that the scanner took; 0: as DPI
	Image         []byte // a JP2 file, or WSQ of a finger for Auth

	// Of the scanner: its technology as driver.Info has it, and the vendor and
	// type of Capture, both or neither.
	Technology               byte
	DeviceVendor, DeviceType uint16
}

// New makes the record that MOSIP wants of a sample, by the modality of its
// position. The record shares the image. The error says all that MOSIP would
// refuse.
func New(p Profile, s Sample) (Record, error) {
	switch s.Position.Modality() {
	case driver.Finger:
		return decoded(NewFinger(p, s))
	case driver.Iris:
		return decoded(NewIris(p, s))
	}
	return decoded(NewFace(p, s))
}

// NewFinger is New for a finger: plain, live, 8 bits of grey.
func NewFinger(p Profile, s Sample) (*Finger, error) {
	if s.Position.Modality() != driver.Finger {
		return nil, fmt.Errorf("make finger record: %v is no finger", s.Position)
	}
	width, height, err := s.size()
	if err != nil {
		return nil, fmt.Errorf("make finger record: %w", err)
	}
	if s.DPI < 0 || s.DPI > 0xFFFF || s.ScanDPI < 0 || s.ScanDPI > 0xFFFF {
		return nil, fmt.Errorf("make finger record: %d dpi of %d", s.DPI, s.ScanDPI)
	}
	compression := JPEG2000Lossless
	if p == Auth {
		compression = JPEG2000Lossy
		if sniff(s.Image) == fileWSQ {
			compression = WSQ
		}
	}
	rate, scanned := uint16(s.DPI), uint16(cmp.Or(s.ScanDPI, s.DPI))
	return accepted(p, &Finger{
		Fingers: 1,
		Capture: s.capture(),

		FingerPosition: FingerPosition(s.Position),
		ScaleUnits:     PixelsPerInch,
		ScanRateH:      scanned, ScanRateV: scanned,
		ImageRateH: rate, ImageRateV: rate,
		BitDepth:    8,
		Compression: compression,
		Impression:  LiveScanPlain,
		Width:       width, Height: height,
		Data: s.Image,
	})
}

// NewIris is New for an eye: cropped for Registration, cropped and masked for
// Auth, upright and not mirrored, 8 bits of grey.
func NewIris(p Profile, s Sample) (*Iris, error) {
	label, ok := EyeLabelOf(s.Position)
	if !ok {
		return nil, fmt.Errorf("make iris record: %v is no eye", s.Position)
	}
	width, height, err := s.size()
	if err != nil {
		return nil, fmt.Errorf("make iris record: %w", err)
	}
	kind, history := IrisCropped, HistoryLossless
	if p == Auth {
		kind, history = IrisCroppedAndMasked, HistoryLossy
	}
	return accepted(p, &Iris{
		Eyes:    1,
		Capture: s.capture(),

		Representation: 1,
		EyeLabel:       label,
		Kind:           kind,
		ImageFormat:    IrisMonoJPEG2000,
		Properties:     HorizontalBase | VerticalBase | history,
		Width:          width, Height: height,
		BitDepth:  8,
		RollAngle: IrisAngleUndefined, RollUncertainty: IrisAngleUndefined,
		Data: s.Image,
	})
}

// NewFace is New for a face: full frontal, RGB of 24 bits. An exception photo is
// such a record, too.
func NewFace(p Profile, s Sample) (*Face, error) {
	if s.Position != driver.FullFace {
		return nil, fmt.Errorf("make face record: %v is no face", s.Position)
	}
	width, height, err := s.size()
	if err != nil {
		return nil, fmt.Errorf("make face record: %w", err)
	}
	dataType := FaceJPEG2000Lossless
	if p == Auth {
		dataType = FaceJPEG2000Lossy
	}
	return accepted(p, &Face{
		Capture:   s.capture(),
		ImageType: FaceFullFrontal,
		DataType:  dataType,
		Width:     width, Height: height,
		Colour: ColourRGB24,
		Data:   s.Image,
	})
}

// LogValue keeps the image out of logs.
func (s Sample) LogValue() slog.Value {
	return slog.GroupValue(slog.String("position", s.Position.String()), slog.Int("bytes", len(s.Image)))
}

func (s Sample) size() (width, height uint16, err error) {
	if s.Width < 1 || s.Width > 0xFFFF || s.Height < 1 || s.Height > 0xFFFF {
		return 0, 0, fmt.Errorf("image size %d x %d: each must be 1 to 65535", s.Width, s.Height)
	}
	return uint16(s.Width), uint16(s.Height), nil
}

func (s Sample) capture() Capture {
	return Capture{
		Captured:      DateTimeOf(s.Captured),
		Technology:    Technology(s.Technology),
		DeviceVendor:  s.DeviceVendor,
		DeviceType:    s.DeviceType,
		QualityBlocks: []QualityBlock{s.Quality},
	}
}

// accepted returns r if MOSIP would accept its header.
func accepted[R Record](p Profile, r R) (R, error) {
	var none R
	if p != Registration && p != Auth {
		return none, fmt.Errorf("make record: no such profile: %v", p)
	}
	refused := report(Check(r, p)).refused()
	if len(refused) > 0 {
		position, _ := r.Position()
		return none, fmt.Errorf("make record of %v for %v: %v", position, p, refused)
	}
	return r, nil
}
