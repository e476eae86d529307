package iso19794

import (
	"fmt"
	"log/slog"

	"sbid/driver"
)

// A Face is a face image record of ISO/IEC 19794-5:2011 with one
// representation.
type Face struct {
	// TemporalSemantics relates several images to each other; 0 for one.
	TemporalSemantics uint16
	Capture

	Gender        Gender
	EyeColour     EyeColour
	HairColour    HairColour
	SubjectHeight byte   // cm, 0 if not specified
	Properties    uint32 // Property bits, 24 of them; MOSIP's reader fails on most values but 0
	Expression    uint16 // Expression bits
	// Yaw, pitch and roll of the head and how uncertain they are, as the
	// standard codes angles; 0 if not specified.
	Pose, PoseUncertainty [3]byte
	Landmarks             []Landmark // at most 65535

	ImageType      FaceImageType
	DataType       FaceDataType
	Width, Height  uint16 // pixels
	SpatialLevel   byte   // 0 to 7, of SpatialLevel
	PostProcessing uint16 // Process bits
	// CrossReference is the number of the basic representation that this one was
	// made from, 0 if none.
	CrossReference byte
	Colour         Colour
	Data           []byte // the image
	// Data3D is the 3D information and data of the three 3D image types, not
	// interpreted here.
	Data3D []byte
}

// A Landmark is a named place in a face. MOSIP does not look at them.
type Landmark struct {
	Type    LandmarkType
	Code    byte   // of MPEG-4 points: major group in the high nibble, minor in the low
	X, Y, Z uint16 // pixels from the top left corner; Z only of Anthropometric3D
}

// LandmarkType is the list that a landmark's code is from.
type LandmarkType byte

const (
	MPEG4            LandmarkType = 1
	Anthropometric2D LandmarkType = 2
	Anthropometric3D LandmarkType = 3
)

const (
	faceHeaderLength  = 17
	facialInformation = 17
	landmarkLength    = 8
	faceImageHeader   = 15 // image information and image length
)

// Format returns FormatFace.
func (f *Face) Format() string { return FormatFace }

// Image returns the compressed image, which is not a copy.
func (f *Face) Image() []byte { return f.Data }

// Size returns width and height in pixels.
func (f *Face) Size() (width, height int) { return int(f.Width), int(f.Height) }

// Position returns whose image this is: always driver.FullFace.
func (f *Face) Position() (driver.Position, bool) { return driver.FullFace, true }

// LogValue keeps the image out of logs.
func (f *Face) LogValue() slog.Value { return logValue(f) }

// DecodeFace reads a face record. The image and the 3D data are sub-slices of b.
func DecodeFace(b []byte) (*Face, error) {
	r := &reader{buf: b}
	f := readFace(r)
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("decode face record: %w", err)
	}
	return f, nil
}

func readFace(r *reader) *Face {
	f := new(Face)
	readIdentity(r, FormatFace, faceVersion2011)
	if flag := r.u8(); flag != 0 {
		r.fail("certification flag %d: it must be 0 in a face record", flag)
	}
	f.TemporalSemantics = r.u16()
	readRepresentationLength(r)
	f.Capture = readCapture(r)
	landmarks := int(r.u16())
	f.Gender = Gender(r.u8())
	f.EyeColour = EyeColour(r.u8())
	f.HairColour = HairColour(r.u8())
	f.SubjectHeight = r.u8()
	f.Properties = r.u24()
	f.Expression = r.u16()
	f.Pose = [3]byte{r.u8(), r.u8(), r.u8()}
	f.PoseUncertainty = [3]byte{r.u8(), r.u8(), r.u8()}
	f.Landmarks = readLandmarks(&reader{buf: r.take(landmarkLength * landmarks)})
	f.ImageType = FaceImageType(r.u8())
	f.DataType = FaceDataType(r.u8())
	f.Width, f.Height = r.u16(), r.u16()
	f.SpatialLevel = r.u8()
	f.PostProcessing = r.u16()
	f.CrossReference = r.u8()
	f.Colour = Colour(r.u8())
	f.Data = r.image()
	if f.ImageType.has3D() {
		f.Data3D = r.rest()
	}
	return f
}

// readLandmarks reads r to its end, which is a whole number of landmarks away.
func readLandmarks(r *reader) []Landmark {
	if len(r.buf) == 0 {
		return nil
	}
	points := make([]Landmark, len(r.buf)/landmarkLength)
	for i := range points {
		points[i] = Landmark{Type: LandmarkType(r.u8()), Code: r.u8(), X: r.u16(), Y: r.u16(), Z: r.u16()}
	}
	return points
}

// MarshalBinary returns the record, or an error that says all that is wrong
// with it.
func (f *Face) MarshalBinary() ([]byte, error) {
	length := faceHeaderLength + 4 + f.Capture.length() + facialInformation +
		landmarkLength*uint64(len(f.Landmarks)) + faceImageHeader + uint64(len(f.Data)) + uint64(len(f.Data3D))
	if err := ready(f, length); err != nil {
		return nil, err
	}
	b := make([]byte, 0, length)
	b = appendIdentity(b, FormatFace, faceVersion2011, uint32(length))
	b = append(b, 0) // certification flag
	b = be.AppendUint16(b, f.TemporalSemantics)
	b = be.AppendUint32(b, uint32(length-faceHeaderLength))
	b = f.Capture.append(b)
	b = be.AppendUint16(b, uint16(len(f.Landmarks)))
	b = append(b, byte(f.Gender), byte(f.EyeColour), byte(f.HairColour), f.SubjectHeight)
	b = appendUint24(b, f.Properties)
	b = be.AppendUint16(b, f.Expression)
	b = append(b, f.Pose[:]...)
	b = append(b, f.PoseUncertainty[:]...)
	for _, l := range f.Landmarks {
		b = append(b, byte(l.Type), l.Code)
		b = be.AppendUint16(b, l.X)
		b = be.AppendUint16(b, l.Y)
		b = be.AppendUint16(b, l.Z)
	}
	b = append(b, byte(f.ImageType), byte(f.DataType))
	b = be.AppendUint16(b, f.Width)
	b = be.AppendUint16(b, f.Height)
	b = append(b, f.SpatialLevel)
	b = be.AppendUint16(b, f.PostProcessing)
	b = append(b, f.CrossReference, byte(f.Colour))
	b = be.AppendUint32(b, uint32(len(f.Data)))
	b = append(b, f.Data...)
	return append(b, f.Data3D...), nil
}

func (f *Face) standard(rep *report) {
	f.Capture.standard(rep)
	if f.Technology > TechFaceVideoDigital && f.Technology < 0x80 {
		rep.refuse("capture device technology %d: must be 0 to 6, or 128 and above", f.Technology)
	}
	if f.Gender > GenderFemale && f.Gender != GenderUnknown {
		rep.refuse("gender %d: must be 0, 1, 2 or 255", f.Gender)
	}
	if f.EyeColour > EyePink && f.EyeColour != EyeOther {
		rep.refuse("eye colour %d: must be 0 to 7 or 255", f.EyeColour)
	}
	if f.HairColour > HairRed && f.HairColour != HairUnknown {
		rep.refuse("hair colour %d: must be 0 to 7 or 255", f.HairColour)
	}
	if f.Properties > 0xFFFFFF {
		rep.refuse("properties %#x: more than 24 bits", f.Properties)
	}
	if n := len(f.Landmarks); n > 0xFFFF {
		rep.refuse("%d landmarks: at most 65535", n)
	}
	for i, l := range f.Landmarks {
		if l.Type < MPEG4 || l.Type > Anthropometric3D {
			rep.warn("landmark %d: type %d: must be 1 to 3", i+1, l.Type)
		}
	}
	if t := f.ImageType; t > FacePostProcessedFrontal && t < FaceBasic3D || t > FaceTokenFrontal3D {
		rep.refuse("face image type %d: must be 0 to 3, or 128 to 130", t)
	}
	if f.DataType > FacePNG {
		rep.refuse("image data type %d: must be 0 to 3", f.DataType)
	}
	if f.SpatialLevel > 7 {
		rep.refuse("spatial sampling rate level %d: must be 0 to 7", f.SpatialLevel)
	}
	if f.Colour > ColourOther && f.Colour < 0x80 {
		rep.refuse("colour space %d: must be 0 to 6, or 128 and above", f.Colour)
	}
	standardImage(rep, f.Width, f.Height, f.Data)
	if len(f.Data3D) > 0 && !f.ImageType.has3D() {
		rep.refuse("3D data behind an image of type %d, which has none", f.ImageType)
	}
	if len(f.Data3D) == 0 && f.ImageType.has3D() {
		rep.refuse("no 3D data behind an image of type %d", f.ImageType)
	}
}
