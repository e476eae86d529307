package iso19794

import (
	"fmt"
	"log/slog"

	"sbid/driver"
)

// A Finger is a finger image record of ISO/IEC 19794-4:2011 with one
// representation.
type Finger struct {
	Fingers byte // number of distinct fingers or palms in the image, 1 in MOSIP
	Capture
	// Certified says that the record has a list of certifications, which can be
	// empty. Set it only for a scanner that really holds a certificate.
	Certified      bool
	Certifications []Certification // at most 255

	FingerPosition FingerPosition
	Representation byte // number of this representation, from 0 to 15
	ScaleUnits     ScaleUnits
	// Sampling rates of the scanner and of this image, in ScaleUnits.
	ScanRateH, ScanRateV   uint16
	ImageRateH, ImageRateV uint16
	BitDepth               byte // of a pixel, 1 to 16
	Compression            Compression
	Impression             Impression
	Width, Height          uint16 // pixels
	Data                   []byte // the image
	Extended               []ExtendedBlock
}

// A Certification is a scheme by which a scanner was certified.
type Certification struct {
	Authority uint16 // IBIA organisation identifier
	Scheme    CertificationScheme
}

// CertificationScheme names requirements of ISO/IEC 19794-4:2011, annex B.
type CertificationScheme byte

const (
	SchemeUnspecified          CertificationScheme = iota
	SchemeAFIS                                     // image quality for AFIS, B.1
	SchemePersonalVerification                     // image quality for personal verification, B.2
	SchemeOptical                                  // optical fingerprint scanners, B.3
)

const (
	fingerHeaderLength  = 16
	certificationLength = 3
	fingerImageHeader   = 22 // finger position to image length
)

// Format returns FormatFinger.
func (f *Finger) Format() string { return FormatFinger }

// Image returns the compressed image, which is not a copy.
func (f *Finger) Image() []byte { return f.Data }

// Size returns width and height in pixels.
func (f *Finger) Size() (width, height int) { return int(f.Width), int(f.Height) }

// Position returns whose image this is: false unless it is of one finger.
func (f *Finger) Position() (driver.Position, bool) {
	return driver.Position(f.FingerPosition), f.FingerPosition <= LeftLittle
}

// LogValue keeps the image out of logs.
func (f *Finger) LogValue() slog.Value { return logValue(f) }

// DecodeFinger reads a finger record. The image is a sub-slice of b.
func DecodeFinger(b []byte) (*Finger, error) {
	r := &reader{buf: b}
	f := readFinger(r)
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("decode finger record: %w", err)
	}
	return f, nil
}

func readFinger(r *reader) *Finger {
	f := new(Finger)
	readIdentity(r, FormatFinger, version2011)
	switch flag := r.u8(); flag {
	case 0:
	case 1:
		f.Certified = true
	default:
		r.fail("certification flag %d is neither 0 nor 1", flag)
	}
	f.Fingers = r.u8()
	readRepresentationLength(r)
	f.Capture = readCapture(r)
	if f.Certified {
		for range r.u8() {
			f.Certifications = append(f.Certifications,
				Certification{Authority: r.u16(), Scheme: CertificationScheme(r.u8())})
		}
	}
	f.FingerPosition = FingerPosition(r.u8())
	f.Representation = r.u8()
	f.ScaleUnits = ScaleUnits(r.u8())
	f.ScanRateH, f.ScanRateV = r.u16(), r.u16()
	f.ImageRateH, f.ImageRateV = r.u16(), r.u16()
	f.BitDepth = r.u8()
	f.Compression = Compression(r.u8())
	f.Impression = Impression(r.u8())
	f.Width, f.Height = r.u16(), r.u16()
	f.Data = r.image()
	f.Extended = readExtended(r)
	return f
}

// MarshalBinary returns the record, or an error that says all that is wrong
// with it.
func (f *Finger) MarshalBinary() ([]byte, error) {
	length := f.length()
	if err := ready(f, length); err != nil {
		return nil, err
	}
	b := make([]byte, 0, length)
	b = appendIdentity(b, FormatFinger, version2011, uint32(length))
	if f.Certified {
		b = append(b, 1, f.Fingers)
	} else {
		b = append(b, 0, f.Fingers)
	}
	b = be.AppendUint32(b, uint32(length-fingerHeaderLength))
	b = f.Capture.append(b)
	if f.Certified {
		b = append(b, byte(len(f.Certifications)))
		for _, c := range f.Certifications {
			b = be.AppendUint16(b, c.Authority)
			b = append(b, byte(c.Scheme))
		}
	}
	b = append(b, byte(f.FingerPosition), f.Representation, byte(f.ScaleUnits))
	for _, rate := range []uint16{f.ScanRateH, f.ScanRateV, f.ImageRateH, f.ImageRateV} {
		b = be.AppendUint16(b, rate)
	}
	b = append(b, f.BitDepth, byte(f.Compression), byte(f.Impression))
	b = be.AppendUint16(b, f.Width)
	b = be.AppendUint16(b, f.Height)
	b = be.AppendUint32(b, uint32(len(f.Data)))
	b = append(b, f.Data...)
	for _, e := range f.Extended {
		b = appendExtended(b, e)
	}
	return b, nil
}

func (f *Finger) length() uint64 {
	n := fingerHeaderLength + 4 + f.Capture.length() + fingerImageHeader + uint64(len(f.Data))
	if f.Certified {
		n += 1 + certificationLength*uint64(len(f.Certifications))
	}
	for _, e := range f.Extended {
		n += extendedHeader + uint64(e.bodyLength())
	}
	return n
}

func (f *Finger) standard(rep *report) {
	if f.Fingers == 0 {
		rep.refuse("number of fingers is 0")
	}
	f.Capture.standard(rep)
	if len(f.Certifications) > 0 && !f.Certified {
		rep.refuse("certifications in a record whose certification flag is not set")
	}
	if n := len(f.Certifications); n > 255 {
		rep.refuse("%d certifications: at most 255", n)
	}
	for i, c := range f.Certifications {
		if c.Scheme > SchemeOptical {
			rep.refuse("certification %d: scheme %d: must be 0 to 3", i+1, c.Scheme)
		}
	}
	if f.Technology > TechFingerGlassFibre {
		rep.refuse("capture device technology %d: must be 0 to 20", f.Technology)
	}
	if !f.FingerPosition.defined() {
		rep.refuse("finger position %d is not defined", f.FingerPosition)
	}
	if f.Representation > 15 {
		rep.refuse("representation number %d: must be 0 to 15", f.Representation)
	}
	if f.ScaleUnits != PixelsPerInch && f.ScaleUnits != PixelsPerCentimetre {
		rep.refuse("scale units %d: must be 1, pixels per inch, or 2, pixels per centimetre", f.ScaleUnits)
	}
	if f.ScanRateH == 0 || f.ScanRateV == 0 || f.ImageRateH == 0 || f.ImageRateV == 0 {
		rep.refuse("a sampling rate is 0")
	}
	if f.BitDepth < 1 || f.BitDepth > 16 {
		rep.refuse("pixel depth %d: must be 1 to 16 bits", f.BitDepth)
	}
	if f.Compression > PNG {
		rep.refuse("compression %d: must be 0 to 6", f.Compression)
	}
	if !f.Impression.defined() {
		rep.refuse("impression type %d is not defined", f.Impression)
	}
	standardImage(rep, f.Width, f.Height, f.Data)
	for i, e := range f.Extended {
		var of report
		e.standard(&of)
		if n := extendedHeader + e.bodyLength(); n > 0xFFFF {
			of.refuse("%d bytes: at most 65535", n)
		}
		// MOSIP reads extended blocks but does not look at their values.
		for _, found := range of {
			rep.warn("extended block %d: %s", i+1, found.Text)
		}
	}
}

func standardImage(rep *report, width, height uint16, data []byte) {
	if width == 0 || height == 0 {
		rep.refuse("image size %d x %d", width, height)
	}
	if len(data) == 0 {
		rep.refuse("no image")
	}
}
