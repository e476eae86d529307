package cbeff

import "sbid/driver"

// Types of data blocks that MOSIP knows.
const (
	TypeFinger         = "Finger"
	TypeIris           = "Iris"
	TypeFace           = "Face"
	TypeExceptionPhoto = "ExceptionPhoto"
)

// subtypes are the lists that name a position. Nothing names one that is unknown.
var subtypes = map[driver.Position]string{
	driver.RightThumb:  "Right Thumb",
	driver.RightIndex:  "Right IndexFinger",
	driver.RightMiddle: "Right MiddleFinger",
	driver.RightRing:   "Right RingFinger",
	driver.RightLittle: "Right LittleFinger",
	driver.LeftThumb:   "Left Thumb",
	driver.LeftIndex:   "Left IndexFinger",
	driver.LeftMiddle:  "Left MiddleFinger",
	driver.LeftRing:    "Left RingFinger",
	driver.LeftLittle:  "Left LittleFinger",
	driver.RightIris:   "Right",
	driver.LeftIris:    "Left",
	driver.FullFace:    "",
}

// formatTypes are the data block formats of ISO/IEC JTC 1/SC 37 for images.
// MOSIP puts its own name in the place of that organisation's number.
var formatTypes = map[string]string{
	TypeFinger:         "7",
	TypeIris:           "9",
	TypeFace:           "8",
	TypeExceptionPhoto: "8",
}

const formatOrganization = "Mosip"

// MOSIP's fixed text for a quality algorithm; it says nothing about one.
var qualityAlgorithm = RegistryID{Organization: "HMAC", Type: "SHA-256"}

// Position returns what the BIR is of, and false if its type and subtype name no
// single finger, no eye and no face. An exception photo is of a face.
func (b BIR) Position() (driver.Position, bool) {
	for p, subtype := range subtypes {
		if subtype == b.BDBInfo.Subtype && typeFits(b.BDBInfo.Type, p.Modality()) {
			return p, true
		}
	}
	return 0, false
}

func typeFits(name string, m driver.Modality) bool {
	return name == m.String() || name == TypeExceptionPhoto && m == driver.Face
}
