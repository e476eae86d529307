// Package cbeff writes, reads and checks biometric information records (BIR) in
// the XML patron format of ISO/IEC 19785-3, the way MOSIP's registration client
// writes them: a container BIR with one inner BIR for each finger, eye or face.
// Each holds an ISO/IEC 19794 record and the scanner's signature of it, from
// which MOSIP rebuilds what the scanner signed.
//
// The package signs and verifies nothing: it takes a signed token apart, and
// [BIR.Token] puts it together again.
package cbeff

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// A BIR is one inner BIR. Texts are as in the document, without the white space
// that its schema ignores; what is empty or zero is not written, except where it
// says so.
type BIR struct {
	Version, CBEFFVersion Version
	Info                  BIRInfo
	BDBInfo               BDBInfo
	SBFormat              RegistryID
	BDB                   []byte  // biometric data block: the ISO/IEC 19794 record
	SB                    string  // security block: a JWS without its payload; written even if empty
	Others                []Entry // in the order of the document
}

// Version is a version number; 0.0 is none.
type Version struct{ Major, Minor uint32 }

// A RegistryID names a format or product by the organisation that registered it.
type RegistryID struct{ Organization, Type string }

// BIRInfo is what a BIR says of itself. Dates are texts of XML Schema's dateTime.
type BIRInfo struct {
	Creator                                     string
	Index                                       string // UUID
	Payload                                     []byte
	Integrity                                   bool // always written
	CreationDate, NotValidBefore, NotValidAfter string
}

// BDBInfo is what a BIR says of its data block.
type BDBInfo struct {
	ChallengeResponse []byte
	Index             string // UUID
	Format            RegistryID
	Encryption        bool
	// Dates are texts of XML Schema's dateTime. Without a zone at its end MOSIP
	// takes a date for none.
	CreationDate, NotValidBefore, NotValidAfter string
	Type                                        string // Finger, Iris, Face, ExceptionPhoto …
	Subtype                                     string // Left IndexFinger, Right …; written, even if empty, whenever Type is
	Level                                       string // Raw, Intermediate or Processed
	Product, CaptureDevice                      RegistryID
	FeatureExtractionAlgorithm                  RegistryID
	ComparisonAlgorithm, CompressionAlgorithm   RegistryID
	Purpose                                     string   // Enroll, Verify …
	Quality                                     *Quality // nil if there is none
}

// Quality is a score, or the reason why there is none.
type Quality struct {
	Algorithm RegistryID
	Score     int    // 0 to 100
	Failed    bool   // the calculation failed, and Score means nothing
	Failure   string // why
}

// An Entry is a value that the standard has no element for.
type Entry struct{ Key, Value string }

// Keys of the entries that MOSIP writes.
const (
	KeyException     = "EXCEPTION"      // true if the finger or eye is missing
	KeyRetries       = "RETRIES"        // number of the attempt
	KeySDKScore      = "SDK_SCORE"      // score by the client's own software
	KeyForceCaptured = "FORCE_CAPTURED" // true if the operator gave up on the quality
	KeyPayload       = "PAYLOAD"        // what was signed, with a placeholder for the record
	KeySpecVersion   = "SPEC_VERSION"   // of the SBI
	KeyConfigured    = "CONFIGURED"     // of the container: what was asked for
)

// Other returns the value of the first entry with that key.
func (b BIR) Other(key string) (string, bool) {
	for _, e := range b.Others {
		if e.Key == key {
			return e.Value, true
		}
	}
	return "", false
}

// CreatedAt returns the creation date of the data block, and false if there is
// none or it has no zone.
func (b BIR) CreatedAt() (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, b.BDBInfo.CreationDate)
	return t, err == nil
}

// LogValue keeps record and signature out of logs.
func (b BIR) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("type", b.BDBInfo.Type),
		slog.String("subtype", b.BDBInfo.Subtype),
		slog.Int("bytes", len(b.BDB)),
	)
}

// Marshal returns a document: a container of birs, with the given entries of its
// own. It fails if the document would not be valid against MOSIP's schema. Equal
// input gives equal bytes.
func Marshal(birs []BIR, others ...Entry) ([]byte, error) {
	root := branch("BIR", branch("BIRInfo", leaf("Integrity", "false")))
	for _, b := range birs {
		root.children = append(root.children, b.tree())
	}
	root.children = append(root.children, othersTree(others)...)
	if faults := validate(root); len(faults) > 0 {
		return nil, fmt.Errorf("marshal CBEFF: %s", strings.Join(faults, "; "))
	}
	return writeTree(root), nil
}

// tree lists everything in the order of the schema.
func (b BIR) tree() *element {
	e := branch("BIR")
	e.children = append(e.children, versionTree("Version", b.Version)...)
	e.children = append(e.children, versionTree("CBEFFVersion", b.CBEFFVersion)...)
	e.children = append(e.children, b.Info.tree())
	e.children = append(e.children, ifAny("BDBInfo", b.BDBInfo.trees())...)
	e.children = append(e.children, ifAny("SBInfo", registryTree("Format", b.SBFormat))...)
	e.children = append(e.children, base64Tree("BDB", b.BDB)...)
	e.children = append(e.children, leaf("SB", base64.StdEncoding.EncodeToString([]byte(b.SB))))
	e.children = append(e.children, othersTree(b.Others)...)
	return e
}

func (i BIRInfo) tree() *element {
	e := branch("BIRInfo")
	e.children = append(e.children, textTree("Creator", i.Creator)...)
	e.children = append(e.children, textTree("Index", i.Index)...)
	e.children = append(e.children, base64Tree("Payload", i.Payload)...)
	e.children = append(e.children, leaf("Integrity", strconv.FormatBool(i.Integrity)))
	e.children = append(e.children, textTree("CreationDate", i.CreationDate)...)
	e.children = append(e.children, textTree("NotValidBefore", i.NotValidBefore)...)
	e.children = append(e.children, textTree("NotValidAfter", i.NotValidAfter)...)
	return e
}

func (i BDBInfo) trees() []*element {
	var out []*element
	out = append(out, base64Tree("ChallengeResponse", i.ChallengeResponse)...)
	out = append(out, textTree("Index", i.Index)...)
	out = append(out, registryTree("Format", i.Format)...)
	if i.Encryption {
		out = append(out, leaf("Encryption", "true"))
	}
	out = append(out, textTree("CreationDate", i.CreationDate)...)
	out = append(out, textTree("NotValidBefore", i.NotValidBefore)...)
	out = append(out, textTree("NotValidAfter", i.NotValidAfter)...)
	out = append(out, textTree("Type", i.Type)...)
	if i.Type != "" || i.Subtype != "" {
		out = append(out, leaf("Subtype", i.Subtype))
	}
	out = append(out, textTree("Level", i.Level)...)
	out = append(out, registryTree("Product", i.Product)...)
	out = append(out, registryTree("CaptureDevice", i.CaptureDevice)...)
	out = append(out, registryTree("FeatureExtractionAlgorithm", i.FeatureExtractionAlgorithm)...)
	out = append(out, registryTree("ComparisonAlgorithm", i.ComparisonAlgorithm)...)
	out = append(out, registryTree("CompressionAlgorithm", i.CompressionAlgorithm)...)
	out = append(out, textTree("Purpose", i.Purpose)...)
	if q := i.Quality; q != nil {
		algorithm := branch("Algorithm", leaf("Organization", q.Algorithm.Organization), leaf("Type", q.Algorithm.Type))
		result := leaf("Score", strconv.Itoa(q.Score))
		if q.Failed {
			result = leaf("QualityCalculationFailed", q.Failure)
		}
		out = append(out, branch("Quality", algorithm, result))
	}
	return out
}

func versionTree(name string, v Version) []*element {
	if v == (Version{}) {
		return nil
	}
	return []*element{branch(name,
		leaf("Major", strconv.FormatUint(uint64(v.Major), 10)),
		leaf("Minor", strconv.FormatUint(uint64(v.Minor), 10)))}
}

func registryTree(name string, id RegistryID) []*element {
	if id == (RegistryID{}) {
		return nil
	}
	return []*element{branch(name, leaf("Organization", id.Organization), leaf("Type", id.Type))}
}

func textTree(name, s string) []*element {
	if s == "" {
		return nil
	}
	return []*element{leaf(name, s)}
}

func base64Tree(name string, b []byte) []*element {
	return textTree(name, base64.StdEncoding.EncodeToString(b))
}

func ifAny(name string, children []*element) []*element {
	if len(children) == 0 {
		return nil
	}
	return []*element{branch(name, children...)}
}

func othersTree(entries []Entry) []*element {
	var children []*element
	for _, e := range entries {
		entry := leaf("entry", e.Value)
		entry.attrs = []xml.Attr{{Name: xml.Name{Local: "key"}, Value: e.Key}}
		children = append(children, entry)
	}
	return ifAny("others", children)
}
