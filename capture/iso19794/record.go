// Package iso19794 reads and writes the image records of ISO/IEC 19794-4, -5
// and -6 in their 2011 editions: one finger, face or iris image with what is
// known about its capture. Images stay as they are: the package looks at their
// first bytes only.
//
// Decoding is strict about structure and liberal about values: lengths must add
// up to the byte, but a code that no edition defines is kept, for [Check] to
// report. Encoding refuses what the standard does not define.
//
// A decoded record shares memory with its input: image bytes and vendor blocks
// are sub-slices of it, never copies. Who changes the input changes the record.
//
// Only records of one representation are read and written, which is what the
// MOSIP biometric image specification asks for.
package iso19794

import (
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sbid/driver"
)

// Format identifiers, the first three bytes of a record.
const (
	FormatFinger = "FIR"
	FormatIris   = "IIR"
	FormatFace   = "FAC"
)

// A Record is a *[Finger], an *[Iris] or a *[Face].
type Record interface {
	encoding.BinaryMarshaler
	// Format returns FormatFinger, FormatIris or FormatFace.
	Format() string
	// Position returns whose image this is, and false for palms and for images
	// of several fingers, which package driver has no name for.
	Position() (driver.Position, bool)
	// Image returns the compressed image. It is not a copy.
	Image() []byte
	// Size returns width and height in pixels as the header states them.
	Size() (width, height int)
	// Quality returns the score of the first quality block, 0 to 100, and false
	// if there is no block or it says that no score could be computed.
	Quality() (score byte, ok bool)
	// CapturedAt returns when the image was captured, in UTC, and false unless
	// date and time are both known.
	CapturedAt() (time.Time, bool)

	standard(*report)                       // what ISO/IEC 19794 does not define
	profile(*report, Profile)               // what MOSIP asks for beyond that
	imageProfile(*report, Profile, Decoded) // the same of the decoded image
}

// Decode reads a record of any of the three kinds, by its format identifier.
func Decode(b []byte) (Record, error) {
	switch {
	case hasIdentifier(b, FormatFinger):
		return decoded(DecodeFinger(b))
	case hasIdentifier(b, FormatIris):
		return decoded(DecodeIris(b))
	case hasIdentifier(b, FormatFace):
		return decoded(DecodeFace(b))
	}
	return nil, errors.New("decode record: it begins with none of FIR, IIR and FAC")
}

// decoded keeps a nil pointer from becoming a Record that is not nil.
func decoded[R Record](r R, err error) (Record, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Identifiers and versions are three characters and a NUL.
const (
	version2011     = "020" // finger and iris
	faceVersion2011 = "030"
	version2005     = "010" // all three; other layouts, not read here
)

func hasIdentifier(b []byte, id string) bool {
	return len(b) >= 4 && string(b[:3]) == id && b[3] == 0
}

func readIdentity(r *reader, id, version string) {
	if got := r.take(4); r.err == nil && string(got) != id+"\x00" {
		r.fail("it does not begin with the identifier %s", id)
	}
	got := r.take(4)
	switch {
	case r.err != nil || string(got) == version+"\x00":
	case string(got) == version2005+"\x00":
		r.fail("version %s is the layout of 2005; only that of 2011, version %s, is read", version2005, version)
	default:
		r.fail("version % x is not %q", got, version+"\x00")
	}
	if n := r.u32(); r.err == nil && uint64(n) != uint64(len(r.buf)) {
		r.fail("record length %d, but there are %d bytes", n, len(r.buf))
	}
	if n := r.u16(); r.err == nil && n != 1 {
		r.fail("it holds %d representations; only records of one are read", n)
	}
}

// readRepresentationLength reads the length that counts itself and all that
// follows it.
func readRepresentationLength(r *reader) {
	rest := len(r.buf) - r.off
	if n := r.u32(); r.err == nil && uint64(n) != uint64(rest) {
		r.fail("representation length %d, but %d bytes are left", n, rest)
	}
}

func appendIdentity(b []byte, id, version string, recordLength uint32) []byte {
	b = append(b, id...)
	b = append(b, 0)
	b = append(b, version...)
	b = append(b, 0)
	b = be.AppendUint32(b, recordLength)
	return be.AppendUint16(b, 1) // representations
}

// ready returns why r cannot be encoded in length bytes, or nil.
func ready(r Record, length uint64) error {
	var rep report
	r.standard(&rep)
	if length > 1<<32-1 {
		rep.refuse("%d bytes are more than a record can hold", length)
	}
	if len(rep) == 0 {
		return nil
	}
	return fmt.Errorf("encode %s record: %v", r.Format(), rep)
}

// logValue is what may be logged of a record: nothing of the image.
func logValue(r Record) slog.Value {
	width, height := r.Size()
	position, _ := r.Position()
	return slog.GroupValue(
		slog.String("format", r.Format()),
		slog.String("position", position.String()),
		slog.Int("width", width),
		slog.Int("height", height),
		slog.Int("bytes", len(r.Image())),
	)
}
