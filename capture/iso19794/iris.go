package iso19794

import (
	"fmt"
	"log/slog"

	"sbid/driver"
)

// An Iris is an iris image record of ISO/IEC 19794-6:2011 with one
// representation.
type Iris struct {
	Eyes byte // 0 unknown, 1 left or right, 2 both; 1 in MOSIP
	Capture

	Representation uint16 // number of this representation, from 1
	EyeLabel       EyeLabel
	Kind           IrisKind
	ImageFormat    IrisFormat
	Properties     ImageProperties
	Width, Height  uint16 // pixels
	BitDepth       byte   // of a pixel, 8 or more
	Range          uint16 // camera to eye; IrisRangeUnassigned if not measured
	// RollAngle is the rotation of the eye in 1/65536 of a full turn,
	// RollUncertainty the greatest error of it in 1/65536 of half a turn;
	// IrisAngleUndefined if not measured.
	RollAngle, RollUncertainty uint16
	// Where the centre of the iris lies and how wide the iris is, in pixels: the
	// least and the greatest value that it may have. 0 if not measured.
	CentreXMin, CentreXMax   uint16
	CentreYMin, CentreYMax   uint16
	DiameterMin, DiameterMax uint16
	Data                     []byte // the image
}

const (
	irisHeaderLength = 16
	irisImageHeader  = 33 // representation number to image length
)

// Format returns FormatIris.
func (i *Iris) Format() string { return FormatIris }

// Image returns the compressed image, which is not a copy.
func (i *Iris) Image() []byte { return i.Data }

// Size returns width and height in pixels.
func (i *Iris) Size() (width, height int) { return int(i.Width), int(i.Height) }

// Position returns whose image this is: false if the eye label is not defined.
func (i *Iris) Position() (driver.Position, bool) { return i.EyeLabel.position() }

// LogValue keeps the image out of logs.
func (i *Iris) LogValue() slog.Value { return logValue(i) }

// DecodeIris reads an iris record. The image is a sub-slice of b.
func DecodeIris(b []byte) (*Iris, error) {
	r := &reader{buf: b}
	i := readIris(r)
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("decode iris record: %w", err)
	}
	return i, nil
}

func readIris(r *reader) *Iris {
	i := new(Iris)
	readIdentity(r, FormatIris, version2011)
	if flag := r.u8(); flag != 0 {
		r.fail("certification flag %d: it must be 0 in an iris record", flag)
	}
	i.Eyes = r.u8()
	readRepresentationLength(r)
	i.Capture = readCapture(r)
	i.Representation = r.u16()
	i.EyeLabel = EyeLabel(r.u8())
	i.Kind = IrisKind(r.u8())
	i.ImageFormat = IrisFormat(r.u8())
	i.Properties = ImageProperties(r.u8())
	i.Width, i.Height = r.u16(), r.u16()
	i.BitDepth = r.u8()
	i.Range = r.u16()
	i.RollAngle, i.RollUncertainty = r.u16(), r.u16()
	i.CentreXMin, i.CentreXMax = r.u16(), r.u16()
	i.CentreYMin, i.CentreYMax = r.u16(), r.u16()
	i.DiameterMin, i.DiameterMax = r.u16(), r.u16()
	i.Data = r.image()
	return i
}

// MarshalBinary returns the record, or an error that says all that is wrong
// with it.
func (i *Iris) MarshalBinary() ([]byte, error) {
	length := irisHeaderLength + 4 + i.Capture.length() + irisImageHeader + uint64(len(i.Data))
	if err := ready(i, length); err != nil {
		return nil, err
	}
	b := make([]byte, 0, length)
	b = appendIdentity(b, FormatIris, version2011, uint32(length))
	b = append(b, 0, i.Eyes)
	b = be.AppendUint32(b, uint32(length-irisHeaderLength))
	b = i.Capture.append(b)
	b = be.AppendUint16(b, i.Representation)
	b = append(b, byte(i.EyeLabel), byte(i.Kind), byte(i.ImageFormat), byte(i.Properties))
	b = be.AppendUint16(b, i.Width)
	b = be.AppendUint16(b, i.Height)
	b = append(b, i.BitDepth)
	for _, v := range []uint16{
		i.Range, i.RollAngle, i.RollUncertainty,
		i.CentreXMin, i.CentreXMax, i.CentreYMin, i.CentreYMax, i.DiameterMin, i.DiameterMax,
	} {
		b = be.AppendUint16(b, v)
	}
	b = be.AppendUint32(b, uint32(len(i.Data)))
	return append(b, i.Data...), nil
}

func (i *Iris) standard(rep *report) {
	if i.Eyes > 2 {
		rep.refuse("number of eyes %d: must be 0 to 2", i.Eyes)
	}
	i.Capture.standard(rep)
	if i.Technology > TechIrisCMOSOrCCD {
		rep.refuse("capture device technology %d: must be 0 or 1", i.Technology)
	}
	if i.Representation == 0 {
		rep.refuse("representation number 0: the first is 1")
	}
	if i.EyeLabel > LeftEye {
		rep.refuse("eye label %d: must be 0, 1 for right or 2 for left", i.EyeLabel)
	}
	switch i.Kind {
	case IrisUncropped, IrisVGA, IrisCropped, IrisCroppedAndMasked:
	default:
		rep.refuse("image type %d: must be 1, 2, 3 or 7", i.Kind)
	}
	if i.ImageFormat < IrisMonoRaw || i.ImageFormat > IrisRGBPNG || i.ImageFormat%2 != 0 {
		rep.refuse("image format %#x is not defined", byte(i.ImageFormat))
	}
	i.Properties.standard(rep)
	if i.BitDepth < 8 {
		rep.refuse("bit depth %d: must be 8 or more", i.BitDepth)
	}
	standardImage(rep, i.Width, i.Height, i.Data)
	if i.CentreXMin > i.CentreXMax || i.CentreYMin > i.CentreYMax || i.DiameterMin > i.DiameterMax {
		rep.warn("iris centre or diameter: the least value is above the greatest")
	}
}

func (p ImageProperties) standard(rep *report) {
	if p&HorizontalMask == HorizontalMask {
		rep.refuse("image properties %#x: horizontal orientation 3 is not defined", byte(p))
	}
	if p&VerticalMask == VerticalMask {
		rep.refuse("image properties %#x: vertical orientation 3 is not defined", byte(p))
	}
	if p&HistoryMask == HistoryMask {
		rep.refuse("image properties %#x: compression history 3 is not defined", byte(p))
	}
	if p&^(HorizontalMask|VerticalMask|HistoryMask) != 0 {
		rep.warn("image properties %#x: bits 4 and 5 must be 0", byte(p))
	}
}
