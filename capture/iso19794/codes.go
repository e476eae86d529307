package iso19794

// Technology is a capture device technology. Its codes mean something else in
// each kind of record.
type Technology byte

// Capture device technologies of finger records (ISO/IEC 19794-4:2011). TIR is
// total internal reflection, as on a glass platen; direct is an image of the
// finger on the platen; touchless needs no platen.
const (
	TechFingerUnknown Technology = iota
	TechFingerWhiteTIR
	TechFingerWhiteDirect
	TechFingerWhiteTouchless
	TechFingerVisibleTIR // monochromatic visible light
	TechFingerVisibleDirect
	TechFingerVisibleTouchless
	TechFingerInfraredTIR // monochromatic infrared light
	TechFingerInfraredDirect
	TechFingerInfraredTouchless
	TechFingerMultispectralTIR
	TechFingerMultispectralDirect
	TechFingerMultispectralTouchless
	TechFingerElectroluminescent
	TechFingerCapacitive
	TechFingerRadioFrequency
	TechFingerThermal
	TechFingerPressure
	TechFingerUltrasound
	TechFingerMechanical
	TechFingerGlassFibre
)

// Capture device technologies of iris records (ISO/IEC 19794-6:2011).
const (
	TechIrisUnknown Technology = iota
	TechIrisCMOSOrCCD
)

// Capture device technologies of face records, which tell the source of the
// image (ISO/IEC 19794-5:2011). 0x80 and above are the vendor's.
const (
	TechFaceUnspecified Technology = iota
	TechFacePhoto
	TechFacePhotoDigitalCamera
	TechFacePhotoScanner
	TechFaceVideo
	TechFaceVideoAnalogue
	TechFaceVideoDigital
)

// Compression is the compression algorithm of a finger image.
type Compression byte

const (
	Uncompressed       Compression = iota // one sample a byte
	UncompressedPacked                    // samples bit after bit
	WSQ
	JPEG
	JPEG2000Lossy
	JPEG2000Lossless
	PNG
)

func (c Compression) String() string {
	return codeName(int(c), "uncompressed", "uncompressed, bit-packed", "WSQ", "JPEG", "JPEG 2000 lossy",
		"JPEG 2000 lossless", "PNG")
}

// ScaleUnits is what finger sampling rates are counted in.
type ScaleUnits byte

const (
	PixelsPerInch       ScaleUnits = 1
	PixelsPerCentimetre ScaleUnits = 2
)

// Impression is how a finger met the scanner.
type Impression byte

const (
	LiveScanPlain Impression = iota
	LiveScanRolled
	NonLiveScanPlain
	NonLiveScanRolled
	LatentImpression
	LatentTracing
	LatentPhoto
	LatentLift
	LiveScanSwipe
	LiveScanVerticalRoll
	LiveScanPalm
	NonLiveScanPalm
	LatentPalmImpression
	LatentPalmTracing
	LatentPalmPhoto
	LatentPalmLift
	LiveScanContactlessPlain Impression = 24
	ImpressionOther          Impression = 28
	ImpressionUnknown        Impression = 29
)

func (i Impression) defined() bool {
	return i <= LatentPalmLift || i == LiveScanContactlessPlain || i == ImpressionOther || i == ImpressionUnknown
}

// EyeLabel tells which eye an iris image shows.
type EyeLabel byte

const (
	EyeUndefined EyeLabel = iota
	RightEye
	LeftEye
)

// IrisKind is the kind of imagery of an iris record.
type IrisKind byte

const (
	IrisUncropped        IrisKind = 1
	IrisVGA              IrisKind = 2 // 640 x 480
	IrisCropped          IrisKind = 3
	IrisCroppedAndMasked IrisKind = 7 // lids and sclera painted flat
)

// IrisFormat is the image format of an iris record, by the codes of 2011: in
// the edition of 2005 they mean other formats.
type IrisFormat byte

const (
	IrisMonoRaw      IrisFormat = 0x02
	IrisRGBRaw       IrisFormat = 0x04
	IrisMonoJPEG     IrisFormat = 0x06
	IrisRGBJPEG      IrisFormat = 0x08
	IrisMonoJPEG2000 IrisFormat = 0x0A
	IrisRGBJPEG2000  IrisFormat = 0x0C
	IrisMonoPNG      IrisFormat = 0x0E
	IrisRGBPNG       IrisFormat = 0x10
)

func (f IrisFormat) String() string {
	if f%2 != 0 {
		return codeName(-1)
	}
	return codeName(int(f)/2-1, "mono raw", "RGB raw", "mono JPEG", "RGB JPEG", "mono JPEG 2000", "RGB JPEG 2000",
		"mono PNG", "RGB PNG")
}

// ImageProperties are the orientation and the compression history of an iris
// image.
type ImageProperties byte

const (
	HorizontalMask    ImageProperties = 0x03
	HorizontalBase    ImageProperties = 0x01 // nasal side as in a face seen by the camera
	HorizontalFlipped ImageProperties = 0x02
	VerticalMask      ImageProperties = 0x0C
	VerticalBase      ImageProperties = 0x04
	VerticalFlipped   ImageProperties = 0x08
	HistoryMask       ImageProperties = 0xC0
	HistoryLossless   ImageProperties = 0x40 // never compressed with loss
	HistoryLossy      ImageProperties = 0x80
)

// Values of iris fields that were not measured.
const (
	IrisRangeUnassigned = 0
	IrisRangeFailed     = 1
	IrisRangeOverflow   = 0xFFFF
	IrisAngleUndefined  = 0xFFFF // of roll angle and roll uncertainty
)

// FaceImageType is how closely a face image follows the rules for portraits.
type FaceImageType byte

const (
	FaceBasic FaceImageType = iota
	FaceFullFrontal
	FaceTokenFrontal
	FacePostProcessedFrontal
	FaceBasic3D        FaceImageType = 0x80
	FaceFullFrontal3D  FaceImageType = 0x81
	FaceTokenFrontal3D FaceImageType = 0x82
)

func (t FaceImageType) has3D() bool { return t >= FaceBasic3D }

// FaceDataType is the compression of a face image.
type FaceDataType byte

const (
	FaceJPEG FaceDataType = iota
	FaceJPEG2000Lossy
	FaceJPEG2000Lossless
	FacePNG
)

func (t FaceDataType) String() string {
	return codeName(int(t), "JPEG", "JPEG 2000 lossy", "JPEG 2000 lossless", "PNG")
}

// Colour is the colour space of a face image; 0x80 and above are the vendor's.
type Colour byte

const (
	ColourUnspecified Colour = iota
	ColourRGB24
	ColourYUV422
	ColourGrey8
	ColourRGB48
	ColourGrey16
	ColourOther
)

// Gender of the subject of a face image.
type Gender byte

const (
	GenderUnspecified Gender = 0
	GenderMale        Gender = 1
	GenderFemale      Gender = 2
	GenderUnknown     Gender = 0xFF
)

// EyeColour of the subject of a face image.
type EyeColour byte

const (
	EyeUnspecified EyeColour = iota
	EyeBlack
	EyeBlue
	EyeBrown
	EyeGrey
	EyeGreen
	EyeMultiColoured
	EyePink
	EyeOther EyeColour = 0xFF
)

// HairColour of the subject of a face image.
type HairColour byte

const (
	HairUnspecified HairColour = iota
	HairBald
	HairBlack
	HairBlonde
	HairBrown
	HairGrey
	HairWhite
	HairRed
	HairUnknown HairColour = 0xFF
)

// Bits of Face.Properties. Without PropertySpecified the others mean nothing.
const (
	PropertySpecified uint32 = 1 << iota
	PropertyGlasses
	PropertyMoustache
	PropertyBeard
	PropertyTeethVisible
	PropertyBlink
	PropertyMouthOpen
	PropertyLeftEyePatch
	PropertyRightEyePatch
	PropertyDarkGlasses
	PropertyHeadCovering
	PropertyMedicalCondition
)

// Bits of Face.Expression. Without ExpressionSpecified the others mean nothing;
// bits 12 to 15 are the vendor's.
const (
	ExpressionSpecified uint16 = 1 << iota
	ExpressionNeutral
	ExpressionSmile
	ExpressionRaisedEyebrows
	ExpressionLookingAway
	ExpressionSquint
	ExpressionFrown
)

// Bits of Face.PostProcessing.
const (
	ProcessRotated uint16 = 1 << iota
	ProcessCropped
	ProcessDownSampled
	ProcessWhiteBalanced
	ProcessMultiplyCompressed
	ProcessInterpolated
	ProcessContrastStretched
	ProcessPoseCorrected
	ProcessMultiView
	ProcessAgeProgressed
	ProcessSuperResolution
)

// SpatialLevel returns the spatial sampling rate level of a face image whose
// head is that many pixels wide.
func SpatialLevel(headWidth int) byte {
	level := byte(0)
	for _, above := range []int{180, 240, 300, 370, 480, 610, 750} {
		if headWidth > above {
			level++
		}
	}
	return level
}

func codeName(i int, names ...string) string {
	if i >= 0 && i < len(names) {
		return names[i]
	}
	return "undefined"
}
