package iso19794_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sbid/capture/iso19794"
)

// samples is a folder beside the repository with records of other makers and
// what is in them.
const samples = "../../../shared/samples"

// header is a record as expected.json describes it. Members that a kind of
// record does not have are nil.
type header struct {
	Format               string
	RecordLength         int
	CertificationFlag    int
	RepresentationLength int
	Captured             string
	DeviceTechnology     int
	DeviceVendor         int
	DeviceType           int
	Quality              []quality
	Width, Height        int
	ImageOffset          int
	ImageLength          int
	ImageSHA256          string `json:"imageSha256"`
	BitDepth             int
	RepresentationNumber int

	FingersPresent, FingerPosition, ScaleUnits   *int
	ScanRateH, ScanRateV, ImageRateH, ImageRateV *int
	Compression, Impression                      *int
	Certifications                               [][2]int
	ExtendedBlocks                               []block

	EyesPresent, EyeLabel, ImageType, ImageFormat, ImageProperties *int
	Range, RollAngle, RollUncertainty                              *int
}

type quality struct{ Score, Vendor, Algorithm int }

type block struct{ Type, Length int }

func describe(t *testing.T, b []byte) header {
	t.Helper()
	r, err := iso19794.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(r.Image())
	h := header{
		Format:       r.Format(),
		RecordLength: len(b), RepresentationLength: len(b) - 16,
		ImageOffset: bytes.Index(b, r.Image()), ImageLength: len(r.Image()),
		ImageSHA256: hex.EncodeToString(sum[:]),
	}
	h.Width, h.Height = r.Size()
	var c *iso19794.Capture
	switch r := r.(type) {
	case *iso19794.Finger:
		c = &r.Capture
		h.BitDepth, h.RepresentationNumber = int(r.BitDepth), int(r.Representation)
		h.FingersPresent, h.FingerPosition = number(r.Fingers), number(r.FingerPosition)
		h.ScaleUnits, h.Compression, h.Impression = number(r.ScaleUnits), number(r.Compression), number(r.Impression)
		h.ScanRateH, h.ScanRateV = number(r.ScanRateH), number(r.ScanRateV)
		h.ImageRateH, h.ImageRateV = number(r.ImageRateH), number(r.ImageRateV)
		if r.Certified {
			h.CertificationFlag = 1
		}
		for _, cert := range r.Certifications {
			h.Certifications = append(h.Certifications, [2]int{int(cert.Authority), int(cert.Scheme)})
		}
		h.ExtendedBlocks = describeBlocks(b[h.ImageOffset+h.ImageLength:], len(r.Extended))
	case *iso19794.Iris:
		c = &r.Capture
		h.BitDepth, h.RepresentationNumber = int(r.BitDepth), int(r.Representation)
		h.EyesPresent, h.EyeLabel = number(r.Eyes), number(r.EyeLabel)
		h.ImageType, h.ImageFormat, h.ImageProperties = number(r.Kind), number(r.ImageFormat), number(r.Properties)
		h.Range, h.RollAngle, h.RollUncertainty = number(r.Range), number(r.RollAngle), number(r.RollUncertainty)
	}
	captured, _ := r.CapturedAt()
	h.Captured = captured.Format("2006-01-02T15:04:05.000")
	h.DeviceTechnology, h.DeviceVendor, h.DeviceType = int(c.Technology), int(c.DeviceVendor), int(c.DeviceType)
	for _, q := range c.QualityBlocks {
		h.Quality = append(h.Quality, quality{int(q.Score), int(q.Vendor), int(q.Algorithm)})
	}
	return h
}

// describeBlocks reads the headers of n extended blocks from the bytes.
func describeBlocks(b []byte, n int) []block {
	var out []block
	for range n {
		kind, length := int(b[0])<<8|int(b[1]), int(b[2])<<8|int(b[3])
		out = append(out, block{kind, length})
		b = b[length:]
	}
	return out
}

func number[T ~uint8 | ~uint16](v T) *int {
	n := int(v)
	return &n
}

func TestSamples(t *testing.T) {
	index, err := os.ReadFile(filepath.Join(samples, "expected.json"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Logf("%s is absent: the golden records of this package stand alone", samples)
		index, err = []byte("{}"), nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]header
	if err := json.Unmarshal(index, &expected); err != nil {
		t.Fatal(err)
	}
	for name, want := range expected {
		if !strings.HasSuffix(name, ".iso") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join(samples, name))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, describe(t, b)); diff != "" {
				t.Errorf("header differs (-want +got):\n%s", diff)
			}
			checkReencoded(t, b)
			checkAccepted(t, name, b)
		})
	}
}

// checkReencoded expects the same bytes back.
func checkReencoded(t *testing.T, b []byte) {
	t.Helper()
	r, err := iso19794.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, b) {
		t.Error("encoding what was decoded gives other bytes")
	}
}

// checkAccepted expects that nothing is refused in records that MOSIP accepts;
// and the one WSQ file that MOSIP cannot read.
func checkAccepted(t *testing.T, name string, b []byte) {
	t.Helper()
	r, err := iso19794.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	p := iso19794.Auth
	if strings.Contains(name, "registration") {
		p = iso19794.Registration
	}
	for _, f := range iso19794.Check(r, p) {
		short := strings.Contains(name, "short") && strings.Contains(f.Text, "WSQ file of 7233 bytes")
		if f.Refused && !short {
			t.Error(f)
		}
	}
}
