package cbeff

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A schemaType is a type of the schema: a sequence of parts, or text with a rule.
type schemaType struct {
	parts    []part
	text     func(string) error
	nillable bool
	keyed    bool // has the required attribute key
}

// A part is one place in a sequence, which one of several elements may take.
type part struct {
	elements []typedElement
	required bool
	many     bool
}

type typedElement struct {
	name string
	of   *schemaType
}

func optional(name string, of *schemaType) part {
	return part{elements: []typedElement{{name, of}}}
}

func required(name string, of *schemaType) part {
	return part{elements: []typedElement{{name, of}}, required: true}
}

func many(name string, of *schemaType) part {
	return part{elements: []typedElement{{name, of}}, many: true}
}

func sequence(parts ...part) *schemaType { return &schemaType{parts: parts} }

func text(rule func(string) error) *schemaType { return &schemaType{text: rule} }

var (
	stringType   = text(checkString)
	base64Type   = text(checkBase64)
	booleanType  = text(checkBoolean)
	unsignedType = text(checkUnsigned)
	dateTimeType = text(checkDateTime)
	uuidType     = text(checkUUID)

	registryType = sequence(required("Organization", stringType), required("Type", stringType))
	versionType  = sequence(required("Major", unsignedType), required("Minor", unsignedType))
	infoType     = sequence(
		optional("Creator", stringType),
		optional("Index", uuidType),
		optional("Payload", base64Type),
		required("Integrity", booleanType),
		optional("CreationDate", dateTimeType),
		optional("NotValidBefore", dateTimeType),
		optional("NotValidAfter", dateTimeType),
	)
	qualityType = sequence(
		required("Algorithm", registryType),
		part{required: true, elements: []typedElement{
			{"Score", text(checkScore)},
			{"QualityCalculationFailed", stringType},
		}},
	)
	bdbInfoType = sequence(
		optional("ChallengeResponse", base64Type),
		optional("Index", uuidType),
		optional("Format", registryType),
		optional("Encryption", booleanType),
		optional("CreationDate", dateTimeType),
		optional("NotValidBefore", dateTimeType),
		optional("NotValidAfter", dateTimeType),
		optional("Type", text(checkTypes)),
		optional("Subtype", text(checkSubtypes)),
		optional("Level", text(oneOf("Raw", "Intermediate", "Processed"))),
		optional("Product", registryType),
		optional("CaptureDevice", registryType),
		optional("FeatureExtractionAlgorithm", registryType),
		optional("ComparisonAlgorithm", registryType),
		optional("CompressionAlgorithm", registryType),
		optional("Purpose", text(oneOf("Verify", "Identify", "Enroll", "EnrollVerify", "EnrollIdentify", "Audit"))),
		optional("Quality", qualityType),
	)
	entryType  = &schemaType{text: checkString, nillable: true, keyed: true}
	othersType = &schemaType{parts: []part{many("entry", entryType)}, nillable: true}
	birType    = sequence(
		optional("Version", versionType),
		optional("CBEFFVersion", versionType),
		required("BIRInfo", infoType),
		optional("BDBInfo", bdbInfoType),
		optional("SBInfo", sequence(optional("Format", registryType))),
		many("BIR", itself),
		optional("BDB", base64Type),
		optional("SB", base64Type),
		many("others", othersType),
	)
)

// itself stands for the type that an element is in.
var itself *schemaType

// validate returns all that the schema finds wrong with a document, in words.
func validate(root *element) []string {
	v := new(validator)
	if root.name.Local != "BIR" || root.name.Space != namespace {
		v.fault("/", "the document is not a BIR of the namespace "+namespace)
		return v.faults
	}
	v.element("BIR", root, birType)
	return v.faults
}

type validator struct{ faults []string }

func (v *validator) fault(path, text string) {
	v.faults = append(v.faults, path+": "+text)
}

func (v *validator) element(path string, e *element, of *schemaType) {
	isNil := v.attributes(path, e, of)
	switch {
	case isNil && (len(e.children) > 0 || e.text != ""):
		v.fault(path, "has content although it is nil")
	case isNil:
	case of.text == nil:
		if collapse(e.text) != "" {
			v.fault(path, "text between elements")
		}
		v.sequence(path, e, of)
	case len(e.children) > 0:
		v.fault(path, "elements where only text may be")
	default:
		if err := of.text(e.text); err != nil {
			v.fault(path, err.Error())
		}
	}
}

// attributes returns whether the element says that it is nil.
func (v *validator) attributes(path string, e *element, of *schemaType) (isNil bool) {
	for _, a := range e.attrs {
		switch {
		case a.Name.Space == "" && a.Name.Local == "key" && of.keyed:
			if err := checkString(a.Value); err != nil {
				v.fault(path, "key: "+err.Error())
			}
		case a.Name.Space == xsi && a.Name.Local == "schemaLocation":
		case a.Name.Space == xsi && a.Name.Local == "nil" && of.nillable:
			if err := checkBoolean(a.Value); err != nil {
				v.fault(path, "nil: "+err.Error())
			}
			isNil = isTrue(a.Value)
		default:
			v.fault(path, fmt.Sprintf("attribute %.40q is not allowed", a.Name.Local))
		}
	}
	if _, ok := e.attr("", "key"); of.keyed && !ok {
		v.fault(path, "has no key")
	}
	return isNil
}

func (v *validator) sequence(path string, e *element, of *schemaType) {
	place, taken := 0, false // the part that comes next, and whether it was there already
	count := map[string]int{}
	for _, c := range e.children {
		name := c.name.Local
		count[name]++
		at := path + "/" + name
		if n := count[name]; n > 1 || name == "BIR" {
			at += fmt.Sprintf("[%d]", n)
		}
		next, child := of.find(name)
		switch {
		case c.name.Space != namespace:
			v.fault(at, "is not in the namespace "+namespace)
			continue
		case child == nil:
			v.fault(at, "is not known here")
			continue
		case next < place:
			v.fault(at, "comes too late")
		case next == place && taken && !of.parts[place].many:
			v.fault(at, "is one more than may be there")
		default:
			v.missing(path, of.parts[place:next], taken)
			place, taken = next, true
		}
		v.element(at, c, child)
	}
	v.missing(path, of.parts[place:], taken)
}

// missing complains about the required ones of the parts that were passed over.
func (v *validator) missing(path string, parts []part, firstTaken bool) {
	for i, p := range parts {
		if p.required && !(i == 0 && firstTaken) {
			var names []string
			for _, e := range p.elements {
				names = append(names, e.name)
			}
			v.fault(path, strings.Join(names, " or ")+" is missing")
		}
	}
}

// find returns the place of an element in the sequence and its type, or nil.
func (t *schemaType) find(name string) (int, *schemaType) {
	for i, p := range t.parts {
		for _, e := range p.elements {
			if e.name == name && e.of == itself {
				return i, t
			}
			if e.name == name {
				return i, e.of
			}
		}
	}
	return 0, nil
}

func checkString(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("is not UTF-8")
	}
	for _, r := range s {
		if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
			return fmt.Errorf("has the character %U, which XML cannot hold", r)
		}
	}
	return nil
}

// xmlSpace is what XML takes for white space.
const xmlSpace = " \t\r\n"

// fields returns the words of a list. Unlike strings.Fields it does not split
// words at the white space of other scripts.
func fields(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(xmlSpace, r) })
}

// collapse takes white space off the ends, as the schema does before it looks at
// numbers, dates and truth values.
func collapse(s string) string { return strings.Trim(s, xmlSpace) }

var dropSpace = strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "")

// decodeBase64 reads the standard alphabet with padding; white space may be
// anywhere.
func decodeBase64(s string) ([]byte, error) {
	return base64.StdEncoding.Strict().DecodeString(dropSpace.Replace(s))
}

func checkBase64(s string) error {
	if _, err := decodeBase64(s); err != nil {
		return errors.New("is not base64 in the standard alphabet with padding")
	}
	return nil
}

func isTrue(s string) bool { return collapse(s) == "true" || collapse(s) == "1" }

func checkBoolean(s string) error {
	return oneOf("true", "false", "1", "0")(collapse(s))
}

func checkUnsigned(s string) error {
	if _, err := strconv.ParseUint(collapse(s), 10, 32); err != nil {
		return fmt.Errorf("%.40q is not a whole number from 0 to 4294967295", s)
	}
	return nil
}

func checkScore(s string) error {
	if n, err := strconv.ParseUint(s, 10, 32); err != nil || n > 100 {
		return fmt.Errorf("%.40q is not a whole number from 0 to 100", s)
	}
	return nil
}

var (
	uuidShape = regexp.MustCompile(`^[a-fA-F0-9]{8}-([a-fA-F0-9]{4}-){3}[a-fA-F0-9]{12}$`)
	// dateShape is a dateTime of four digits of year; the schema knows longer
	// years, which nobody was enrolled in.
	dateShape = regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-](0\d|1[0-3]):[0-5]\d|[+-]14:00)?$`)
)

func checkUUID(s string) error {
	if !uuidShape.MatchString(s) {
		return fmt.Errorf("%.40q is not a UUID", s)
	}
	return nil
}

func checkDateTime(s string) error {
	m := dateShape.FindStringSubmatch(collapse(s))
	if m == nil {
		return fmt.Errorf("%.40q is not a date and time", s)
	}
	if _, err := time.Parse("2006-01-02T15:04:05", m[1]); err != nil || strings.HasPrefix(m[1], "0000") {
		return fmt.Errorf("%.40q is not a date and time that exists", s)
	}
	return nil
}

// checkTypes leaves out Ear: the schema spells it with a blank, which no word of
// a list can have.
func checkTypes(s string) error {
	return checkList(s, "Scent", "DNA", "Face", "Finger", "Foot", "HandGeometry", "Vein", "Iris", "Retina", "Voice",
		"Gait", "Keystroke", "LipMovement", "SignatureSign", "Palm", "BackOfHand", "Wrist", "ExceptionPhoto")
}

func checkSubtypes(s string) error {
	err := checkList(s, "Left", "Right", "Thumb", "IndexFinger", "MiddleFinger", "RingFinger", "LittleFinger")
	if err == nil || checkList(s, "LeftVein", "RightVein", "Palm", "BackOfHand", "Wrist", "Reserved1", "Reserved2") == nil {
		return nil
	}
	return err
}

func checkList(s string, words ...string) error {
	for _, w := range fields(s) {
		if !slices.Contains(words, w) {
			return fmt.Errorf("%.40q is none of %s", w, strings.Join(words, ", "))
		}
	}
	return nil
}

func oneOf(words ...string) func(string) error {
	return func(s string) error {
		if !slices.Contains(words, s) {
			return fmt.Errorf("%.40q is none of %s", s, strings.Join(words, ", "))
		}
		return nil
	}
}
