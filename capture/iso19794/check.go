package iso19794

import (
	"bytes"
	"fmt"
)

// A Profile is what MOSIP wants a record for; its rules differ.
type Profile uint8

const (
	Registration Profile = iota + 1
	Auth
)

func (p Profile) String() string {
	switch p {
	case Registration:
		return "Registration"
	case Auth:
		return "Auth"
	}
	return fmt.Sprintf("Profile(%d)", uint8(p))
}

// Check says all that is wrong with the header of r by ISO/IEC 19794, the MOSIP
// biometric image specification and the MOSIP compliance toolkit. Of the image it
// looks at the file signature and the size in bytes; [CheckImage] does the rest.
// A record without refused findings is one that MOSIP's header checks pass.
func Check(r Record, p Profile) []Finding {
	var rep report
	r.standard(&rep)
	r.profile(&rep, p)
	return rep
}

// Decoded is what a decoder found out about an image.
type Decoded struct {
	Width, Height int
	Components    int  // 1 for grey, 3 for colour
	Reversible    bool // JPEG 2000 with the reversible 5/3 wavelet
	DPI           int  // as the image file says, 0 if it does not
}

// CheckImage says all that is wrong between r and its decoded image.
func CheckImage(r Record, p Profile, d Decoded) []Finding {
	var rep report
	if w, h := r.Size(); w != d.Width || h != d.Height {
		rep.refuse("the header says %d x %d pixels, the image has %d x %d", w, h, d.Width, d.Height)
	}
	r.imageProfile(&rep, p, d)
	if p == Auth {
		checkAuthSize(&rep, r, d)
	}
	return rep
}

// What MOSIP sets for images of fingers and irises for authentication.
const (
	minRate, maxRate = 490, 1010 // of finger images, in pixels per inch
	maxRatio         = 15        // uncompressed to compressed bytes
	minIrisBytes     = 3500
	minDiameter      = 210 // of the iris in pixels, for registration
	minDiameterAuth  = 150
	// minWSQ is the shortest WSQ file that MOSIP's decoder reads: it takes the
	// two characters after the first comment's name, " 9", for a length.
	minWSQ = 8263
)

func checkAuthSize(rep *report, r Record, d Decoded) {
	n := len(r.Image())
	if n == 0 {
		return
	}
	// MOSIP cuts the fraction off before it compares.
	if ratio := d.Width * d.Height * d.Components / n; ratio > maxRatio {
		rep.warn("compressed %d to 1: at most %d to 1", ratio, maxRatio)
	}
}

// container is the kind of image file by its first bytes.
type container string

const (
	fileJP2        container = "JP2"
	fileCodestream container = "JPEG 2000 codestream"
	fileWSQ        container = "WSQ"
	fileOther      container = "unknown"
)

func sniff(image []byte) container {
	for _, known := range []struct {
		signature string
		is        container
	}{
		{"\x00\x00\x00\x0CjP  \r\n\x87\n", fileJP2},
		{"\xFF\x4F\xFF\x51", fileCodestream},
		{"\xFF\xA0", fileWSQ},
	} {
		if bytes.HasPrefix(image, []byte(known.signature)) {
			return known.is
		}
	}
	return fileOther
}

func refuseUnlessJP2(rep *report, image []byte) {
	switch sniff(image) {
	case fileJP2:
	case fileCodestream:
		rep.refuse("the image is a bare JPEG 2000 codestream: it must be a JP2 file")
	default:
		rep.refuse("the image is not a JP2 file")
	}
}

func (f *Finger) profile(rep *report, p Profile) {
	f.Capture.profile(rep)
	if f.Fingers > 1 {
		rep.refuse("number of fingers %d: must be 1", f.Fingers)
	}
	if f.FingerPosition > LeftLittle && f.FingerPosition.defined() {
		rep.refuse("finger position %d: must be one finger, 1 to 10", f.FingerPosition)
	}
	if f.FingerPosition == UnknownFinger && p == Registration {
		rep.refuse("finger position 0, unknown: registration needs 1 to 10")
	}
	if f.Representation > 0 && f.Representation <= 15 {
		rep.warn("representation number %d: the first is 0", f.Representation)
	}
	if f.ScaleUnits == PixelsPerCentimetre {
		rep.warn("sampling rates in pixels per centimetre, which MOSIP takes for pixels per inch")
	}
	for _, rate := range []struct {
		name  string
		value uint16
	}{
		{"horizontal scan", f.ScanRateH}, {"vertical scan", f.ScanRateV},
		{"horizontal image", f.ImageRateH}, {"vertical image", f.ImageRateV},
	} {
		if rate.value < minRate || rate.value > maxRate {
			rep.refuse("%s sampling rate %d: must be %d to %d", rate.name, rate.value, minRate, maxRate)
		}
	}
	if f.ImageRateH > f.ScanRateH || f.ImageRateV > f.ScanRateV {
		rep.refuse("image sampling rate above the scan sampling rate")
	}
	if f.BitDepth != 8 {
		rep.refuse("pixel depth %d: must be 8 bits", f.BitDepth)
	}
	profileExtended(rep, f.Extended)
	switch {
	case p == Registration && f.Compression != JPEG2000Lossless:
		rep.refuse("compression %d, %v: registration needs 5, %v", f.Compression, f.Compression, JPEG2000Lossless)
	case p == Auth && f.Compression != JPEG2000Lossy && f.Compression != WSQ:
		rep.refuse("compression %d, %v: authentication needs 4, %v, or 2, %v",
			f.Compression, f.Compression, JPEG2000Lossy, WSQ)
	}
	if len(f.Data) > 0 {
		f.profileFile(rep, p)
	}
}

func (f *Finger) profileFile(rep *report, p Profile) {
	if f.Compression != WSQ || p == Registration {
		refuseUnlessJP2(rep, f.Data)
		return
	}
	if sniff(f.Data) != fileWSQ {
		rep.refuse("the image is not a WSQ file")
	} else if len(f.Data) < minWSQ {
		rep.refuse("a WSQ file of %d bytes: MOSIP's decoder needs %d", len(f.Data), minWSQ)
	}
}

func (f *Finger) imageProfile(rep *report, p Profile, d Decoded) {
	grey(rep, d)
	wavelet(rep, p, d, f.Compression == WSQ)
	switch {
	case d.DPI < minRate || d.DPI > maxRate:
		rep.warn("the image says %d dpi: should be %d to %d", d.DPI, minRate, maxRate)
	case f.ScaleUnits == PixelsPerInch && d.DPI != int(f.ImageRateH):
		rep.warn("the image says %d dpi, the header %d", d.DPI, f.ImageRateH)
	}
}

// grey refuses colour: MOSIP takes the depth to be 8 bits a component.
func grey(rep *report, d Decoded) {
	if d.Components != 1 {
		rep.refuse("the image has %d components: must be 1, grey", d.Components)
	}
}

// wavelet compares what tells MOSIP lossless images from lossy ones.
func wavelet(rep *report, p Profile, d Decoded, isWSQ bool) {
	switch {
	case p == Registration && !d.Reversible:
		rep.refuse("the image is lossy: registration needs the reversible 5/3 wavelet")
	case p == Auth && d.Reversible && !isWSQ:
		rep.refuse("the image uses the reversible 5/3 wavelet: authentication needs the irreversible 9/7 one")
	}
}

func (i *Iris) profile(rep *report, p Profile) {
	i.Capture.profile(rep)
	if i.Eyes != 1 {
		rep.refuse("number of eyes %d: must be 1", i.Eyes)
	}
	if i.Representation > 1 {
		rep.refuse("representation number %d: must be 1", i.Representation)
	}
	if i.EyeLabel == EyeUndefined && p == Registration {
		rep.refuse("eye label 0, undefined: registration needs 1 or 2")
	}
	kind, history, diameter := IrisCropped, HistoryLossless, uint16(minDiameter)
	if p == Auth {
		kind, history, diameter = IrisCroppedAndMasked, HistoryLossy, minDiameterAuth
	}
	if i.Kind != kind {
		rep.refuse("image type %d: %v needs %d", i.Kind, p, kind)
	}
	if i.ImageFormat != IrisMonoJPEG2000 {
		rep.refuse("image format %#x, %v: must be %#x, %v",
			byte(i.ImageFormat), i.ImageFormat, byte(IrisMonoJPEG2000), IrisMonoJPEG2000)
	}
	if got := i.Properties & HistoryMask; got != history {
		rep.refuse("image properties %#x: compression history %d: %v needs %d", byte(i.Properties), got>>6, p, history>>6)
	}
	if i.BitDepth != 8 {
		rep.refuse("bit depth %d: must be 8", i.BitDepth)
	}
	if i.DiameterMax > 0 && i.DiameterMax < diameter {
		rep.warn("the iris is at most %d pixels wide: should be %d or more", i.DiameterMax, diameter)
	}
	if n := len(i.Data); n > 0 {
		refuseUnlessJP2(rep, i.Data)
		if p == Auth && n < minIrisBytes {
			rep.warn("image of %d bytes: should be %d or more", n, minIrisBytes)
		}
	}
}

func (i *Iris) imageProfile(rep *report, p Profile, d Decoded) {
	grey(rep, d)
	wavelet(rep, p, d, false)
}

// maxFaceProperties is the largest property mask that MOSIP's reader survives:
// it takes the bits for an enumeration.
const maxFaceProperties = 0x11

func (f *Face) profile(rep *report, p Profile) {
	f.Capture.profile(rep)
	if f.TemporalSemantics != 0 {
		rep.refuse("temporal semantics %d: must be 0, one image", f.TemporalSemantics)
	}
	if f.Properties > maxFaceProperties && f.Properties <= 0xFFFFFF {
		rep.refuse("properties %#x: MOSIP's reader fails above %#x", f.Properties, maxFaceProperties)
	}
	if f.ImageType != FaceFullFrontal {
		rep.warn("face image type %d: should be 1, full frontal", f.ImageType)
	}
	want := FaceJPEG2000Lossless
	if p == Auth {
		want = FaceJPEG2000Lossy
	}
	if f.DataType != want {
		rep.refuse("image data type %d, %v: %v needs %d, %v", f.DataType, f.DataType, p, want, want)
	}
	if f.Colour != ColourRGB24 {
		rep.warn("colour space %d: should be 1, RGB of 24 bits", f.Colour)
	}
	if len(f.Data) > 0 {
		refuseUnlessJP2(rep, f.Data)
	}
}

func (f *Face) imageProfile(rep *report, _ Profile, d Decoded) {
	if d.Components != 3 {
		rep.refuse("the image has %d components: must be 3, sRGB", d.Components)
	}
	if lossless := f.DataType == FaceJPEG2000Lossless; lossless != d.Reversible {
		rep.warn("image data type %d, %v, does not fit the image's wavelet", f.DataType, f.DataType)
	}
}
