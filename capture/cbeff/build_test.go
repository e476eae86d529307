package cbeff_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sbid/capture/cbeff"
	"sbid/driver"
)

var created = time.Date(2026, 11, 22, 12, 20, 5, 789e6, time.FixedZone("", 3600))

const (
	uuid1 = "0b6c1a5e-6f0e-4c55-9d38-1f7a2a3f0001"
	uuid2 = "0b6c1a5e-6f0e-4c55-9d38-1f7a2a3f0002"
)

// A registration capture of an iris, as a registration client of MOSIP splits it
// and a registration processor rebuilds it.
const (
	vectorToken = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9." +
		"eyJkaWdpdGFsSWQiOiJlMzAuZTMwLmMybG4iLCJiaW9UeXBlIjoiSXJpcyIsImJpb1N1YlR5cGUiOiJMZWZ0IiwiYmlvVmFsdWUiOiJSa2xTQURBeU1BQVFFUklURkJVV0Z4Z1pHaHNjSFI0ZklDRWlJeVFsSmljIiwidGltZXN0YW1wIjoiMjAyNi0wMS0wMlQwMzowNDowNVoiLCJxdWFsaXR5U2NvcmUiOiI4MS41In0." +
		vectorSignature
	vectorSignature = "aY2vVfacgVUqRsgKUN1I7XfpAd5w38FCjq46WCR5T8Lwscht_y4QAHYQmNtiEHkHjYpLEdTwrXSPZHa2xkb6DBoamTsAGjU7AaBhcJQE7163hWXwBgRQeKTdHNBXhkTotY9pjgUObEjwJ9wEVn1H91O0RpT6bjsLeVfLk5uoYCi3UPpCfDzyxrKKOvxe0HpwTPxPQnn9EQQCraAbemhN6gRdwtRT6trD-eLAPXblXgg0zgjsvmuybG4bEToEuUM5DqKXqpfnNr0Ei2ffVzhNrrH88iNnYRJfvFuynMkHOP4VNPEahzHJflPgtlA5kNxoe9LWNnkW0gQ9wDh72D-cwA"
	vectorSB        = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.." + vectorSignature
	vectorPayload   = `{"digitalId":"e30.e30.c2ln","bioType":"Iris","bioSubType":"Left","bioValue":"<bioValue>","timestamp":"2026-01-02T03:04:05Z","qualityScore":"81.5"}`
	vectorBDB       = "RklSADAyMAAQERITFBUWFxgZGhscHR4fICEiIyQlJic="
)

func vector(t *testing.T) cbeff.SignedRecord {
	t.Helper()
	record, err := base64.StdEncoding.DecodeString(vectorBDB)
	if err != nil {
		t.Fatal(err)
	}
	return cbeff.SignedRecord{
		Token: vectorToken, Record: record, Position: driver.LeftIris, Quality: "81.5",
		Created: created, SpecVersion: "0.9.5", Retries: 1, Index: uuid1,
	}
}

func TestVectorSplit(t *testing.T) {
	b, err := cbeff.New(vector(t))
	if err != nil {
		t.Fatal(err)
	}
	if b.SB != vectorSB {
		t.Errorf("SB %s", b.SB)
	}
	if got, _ := b.Other(cbeff.KeyPayload); got != vectorPayload {
		t.Errorf("PAYLOAD %s", got)
	}
	if b.BDBInfo.Quality.Score != 81 {
		t.Errorf("score %d, want 81", b.BDBInfo.Quality.Score)
	}
	doc, err := cbeff.Marshal([]cbeff.BIR{b})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"<BDB>" + vectorBDB + "</BDB>",
		"<SB>" + base64.StdEncoding.EncodeToString([]byte(vectorSB)) + "</SB>",
		`&lt;bioValue&gt;`,
	} {
		if !bytes.Contains(doc, []byte(want)) {
			t.Errorf("the document lacks %s", want)
		}
	}
}

func TestVectorRebuild(t *testing.T) {
	record, err := base64.StdEncoding.DecodeString(vectorBDB)
	if err != nil {
		t.Fatal(err)
	}
	b := cbeff.BIR{
		BDB: record, SB: vectorSB,
		Others: []cbeff.Entry{{Key: "EXCEPTION", Value: "false"}, {Key: "PAYLOAD", Value: vectorPayload}},
	}
	got, err := b.Token()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(vectorToken, got); diff != "" {
		t.Errorf("token differs (-want +got):\n%s", diff)
	}
}

// signer makes tokens like a scanner's, each with one key.
type signer struct{ key *rsa.PrivateKey }

func newSigner(t testing.TB) signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key}
}

var b64url = base64.RawURLEncoding

func (s signer) sign(t testing.TB, payload string) string {
	t.Helper()
	signed := b64url.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + b64url.EncodeToString([]byte(payload))
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + b64url.EncodeToString(signature)
}

func (s signer) verify(t *testing.T, token string) {
	t.Helper()
	dot := strings.LastIndexByte(token, '.')
	signature, err := b64url.DecodeString(token[dot+1:])
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(token[:dot]))
	if err := rsa.VerifyPKCS1v15(&s.key.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
		t.Error(err)
	}
}

// record returns bytes that begin like a record of p.
func record(p driver.Position) []byte {
	id := map[driver.Modality]string{driver.Finger: "FIR", driver.Iris: "IIR", driver.Face: "FAC"}[p.Modality()]
	return append([]byte(id), 0, '0', '2', '0', 0, 0xFB, 0xEF, 0xBE, byte(p))
}

func payload(p driver.Position) string {
	return fmt.Sprintf(`{"bioType":"%v","bioValue":"%s","qualityScore":"70"}`, p.Modality(), b64url.EncodeToString(record(p)))
}

// Through XML and back, every position's signature must still be good.
func TestEverySignatureSurvivesTheDocument(t *testing.T) {
	s := newSigner(t)
	var birs []cbeff.BIR
	for p := driver.RightThumb; p <= driver.FullFace; p++ {
		if p == driver.UnknownIris {
			continue
		}
		b, err := cbeff.New(cbeff.SignedRecord{
			Token: s.sign(t, payload(p)), Record: record(p), Position: p, Quality: "70",
			Created: created, SpecVersion: "0.9.5", Retries: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		birs = append(birs, b)
	}
	doc, err := cbeff.Marshal(birs)
	if err != nil {
		t.Fatal(err)
	}
	again, err := cbeff.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(birs, again); diff != "" {
		t.Errorf("BIRs differ (-want +got):\n%s", diff)
	}
	for _, b := range again {
		if faults := b.Check(); faults != nil {
			t.Errorf("%s %s: %q", b.BDBInfo.Type, b.BDBInfo.Subtype, faults)
		}
		token, err := b.Token()
		if err != nil {
			t.Fatal(err)
		}
		s.verify(t, token)
	}
}

func TestSubtypesAndFormats(t *testing.T) {
	for p, want := range map[driver.Position][3]string{
		driver.RightThumb:  {"Finger", "Right Thumb", "7"},
		driver.RightIndex:  {"Finger", "Right IndexFinger", "7"},
		driver.RightMiddle: {"Finger", "Right MiddleFinger", "7"},
		driver.RightRing:   {"Finger", "Right RingFinger", "7"},
		driver.RightLittle: {"Finger", "Right LittleFinger", "7"},
		driver.LeftThumb:   {"Finger", "Left Thumb", "7"},
		driver.LeftIndex:   {"Finger", "Left IndexFinger", "7"},
		driver.LeftMiddle:  {"Finger", "Left MiddleFinger", "7"},
		driver.LeftRing:    {"Finger", "Left RingFinger", "7"},
		driver.LeftLittle:  {"Finger", "Left LittleFinger", "7"},
		driver.RightIris:   {"Iris", "Right", "9"},
		driver.LeftIris:    {"Iris", "Left", "9"},
		driver.FullFace:    {"Face", "", "8"},
	} {
		s := vector(t)
		s.Position = p
		b, err := cbeff.New(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := [3]string{b.BDBInfo.Type, b.BDBInfo.Subtype, b.BDBInfo.Format.Type}; got != want {
			t.Errorf("%v: %q, want %q", p, got, want)
		}
		if got, ok := b.Position(); got != p || !ok {
			t.Errorf("%v reads as %v, %v", p, got, ok)
		}
	}
	photo := vector(t)
	photo.Position, photo.ExceptionPhoto = driver.FullFace, true
	b, err := cbeff.New(photo)
	if err != nil {
		t.Fatal(err)
	}
	if b.BDBInfo.Type != "ExceptionPhoto" || b.BDBInfo.Subtype != "" || b.BDBInfo.Format.Type != "8" {
		t.Errorf("exception photo: %+v", b.BDBInfo)
	}
	if got, ok := b.Position(); got != driver.FullFace || !ok {
		t.Errorf("an exception photo is of %v, %v", got, ok)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, change := range map[string]func(*cbeff.SignedRecord){
		"no record":              func(s *cbeff.SignedRecord) { s.Record = nil },
		"unknown finger":         func(s *cbeff.SignedRecord) { s.Position = driver.UnknownFinger },
		"unknown eye":            func(s *cbeff.SignedRecord) { s.Position = driver.UnknownIris },
		"photo of an eye":        func(s *cbeff.SignedRecord) { s.ExceptionPhoto = true },
		"no date":                func(s *cbeff.SignedRecord) { s.Created = time.Time{} },
		"no version":             func(s *cbeff.SignedRecord) { s.SpecVersion = "" },
		"no score":               func(s *cbeff.SignedRecord) { s.Quality = "" },
		"score that is none":     func(s *cbeff.SignedRecord) { s.Quality = "NaN" },
		"score above 100":        func(s *cbeff.SignedRecord) { s.Quality = "100.5" },
		"score below 0":          func(s *cbeff.SignedRecord) { s.Quality = "-1" },
		"no token":               func(s *cbeff.SignedRecord) { s.Token = "" },
		"token of two parts":     func(s *cbeff.SignedRecord) { s.Token = "e30.e30" },
		"token without payload":  func(s *cbeff.SignedRecord) { s.Token = vectorSB },
		"payload with padding":   func(s *cbeff.SignedRecord) { s.Token = "e30.e30=.c2ln" },
		"payload not UTF-8":      func(s *cbeff.SignedRecord) { s.Token = "e30." + b64url.EncodeToString([]byte("\xFF")) + ".c2ln" },
		"record of someone else": func(s *cbeff.SignedRecord) { s.Record = record(driver.LeftIris) },
	} {
		t.Run(name, func(t *testing.T) {
			s := vector(t)
			change(&s)
			if b, err := cbeff.New(s); err == nil {
				t.Errorf("made %+v", b)
			}
		})
	}
}

// The registration client searches the payload as text. What it would get wrong
// must be noticed here, not in the registration processor.
func TestPayloadsThatCannotBeRebuilt(t *testing.T) {
	value := b64url.EncodeToString(record(driver.LeftIris))
	padded := base64.URLEncoding.EncodeToString(append(record(driver.LeftIris), 0))
	for name, tt := range map[string]struct {
		payload string
		record  []byte
		ok      bool
	}{
		"plain":                       {`{"bioValue":"` + value + `"}`, nil, true},
		"white space is kept":         {"{\r\n\t\"bioValue\" :\n \"" + value + "\"\r\n}", nil, true},
		"another member is equal":     {`{"bioValue":"` + value + `","copy":"` + value + `"}`, nil, true},
		"not ASCII":                   {`{"bioValue":"` + value + `","name":"é` + "\u2028" + `"}`, nil, true},
		"padded":                      {`{"bioValue":"` + padded + `"}`, append(record(driver.LeftIris), 0), false},
		"bioValue in an earlier name": {`{"bioValueHash":"x","bioValue":"` + value + `"}`, nil, false},
		"bioValue in an earlier text": {`{"a":"bioValue","bioValue":"` + value + `"}`, nil, false},
		"placeholder in a member":     {`{"bioValue":"` + value + `","a":"<bioValue>"}`, nil, false},
		"escaped":                     {`{"bioValue":"\u0053` + value[1:] + `"}`, nil, false},
		"no bioValue":                 {`{"a":"b"}`, nil, false},
		"ends with the name":          {`bioValue`, nil, false},
		"not a text":                  {`{"bioValue":null}`, nil, false},
		"does not end":                {`{"bioValue":"` + value, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := vector(t)
			s.Record = record(driver.LeftIris)
			if tt.record != nil {
				s.Record = tt.record
			}
			s.Token = "e30." + b64url.EncodeToString([]byte(tt.payload)) + ".c2ln"
			b, err := cbeff.New(s)
			if (err == nil) != tt.ok {
				t.Fatalf("error %v, want one: %v", err, !tt.ok)
			}
			if err != nil {
				return
			}
			doc, err := cbeff.Marshal([]cbeff.BIR{b})
			if err != nil {
				t.Fatal(err)
			}
			again, err := cbeff.Parse(doc)
			if err != nil {
				t.Fatal(err)
			}
			if token, err := again[0].Token(); token != s.Token {
				t.Errorf("rebuilt %q, %v; want %q", token, err, s.Token)
			}
		})
	}
}

func TestTokenRefuses(t *testing.T) {
	for name, change := range map[string]func(*cbeff.BIR){
		"exception":               func(b *cbeff.BIR) { b.Others[0].Value = "true" },
		"no BDB":                  func(b *cbeff.BIR) { b.BDB = nil },
		"no PAYLOAD":              func(b *cbeff.BIR) { b.Others = b.Others[:4] },
		"empty PAYLOAD":           func(b *cbeff.BIR) { b.Others[4].Value = "" },
		"no place for the record": func(b *cbeff.BIR) { b.Others[4].Value = "{}" },
		"no SB":                   func(b *cbeff.BIR) { b.SB = "" },
		"SB without dots":         func(b *cbeff.BIR) { b.SB = "e30" },
		"SB with a payload":       func(b *cbeff.BIR) { b.SB = "e30.e30.c2ln" },
		"SB with three dots":      func(b *cbeff.BIR) { b.SB = "e30...c2ln" },
		"SB without signature":    func(b *cbeff.BIR) { b.SB = "e30.." },
	} {
		t.Run(name, func(t *testing.T) {
			b, err := cbeff.New(vector(t))
			if err != nil {
				t.Fatal(err)
			}
			change(&b)
			if token, err := b.Token(); err == nil {
				t.Errorf("rebuilt %q", token)
			}
			if b.IsException() {
				return
			}
			if b.Check() == nil {
				t.Error("Check finds nothing")
			}
		})
	}
}

func TestScoreIsTruncated(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "57": 57, "57.0": 57, "81.9": 81, "99.99": 99, "100": 100} {
		s := vector(t)
		s.Quality = text
		b, err := cbeff.New(s)
		if err != nil {
			t.Fatal(err)
		}
		if b.BDBInfo.Quality.Score != want {
			t.Errorf("%s becomes %d, want %d", text, b.BDBInfo.Quality.Score, want)
		}
	}
}

func TestIndexIsRandomUnlessGiven(t *testing.T) {
	s := vector(t)
	s.Index = ""
	shape := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for range 20 {
		b, err := cbeff.New(s)
		if err != nil {
			t.Fatal(err)
		}
		if i := b.BDBInfo.Index; !shape.MatchString(i) || seen[i] {
			t.Errorf("index %q", i)
		}
		seen[b.BDBInfo.Index] = true
	}
}

func TestExceptionHasNoData(t *testing.T) {
	b, err := cbeff.NewException(driver.RightThumb, created, uuid2)
	if err != nil {
		t.Fatal(err)
	}
	if faults := b.Check(); faults != nil {
		t.Errorf("%q", faults)
	}
	doc, err := cbeff.Marshal([]cbeff.BIR{b})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(doc, []byte("<BDB>")) || !bytes.Contains(doc, []byte("<SB></SB>")) {
		t.Errorf("%s", doc)
	}
	for _, p := range []driver.Position{driver.UnknownFinger, driver.UnknownIris, driver.FullFace} {
		if _, err := cbeff.NewException(p, created, uuid2); err == nil {
			t.Errorf("an exception of %v", p)
		}
	}
	if _, err := cbeff.NewException(driver.LeftIris, time.Time{}, uuid2); err == nil {
		t.Error("an exception without a date")
	}
}

func TestLogsHideRecords(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	s := vector(t)
	b, err := cbeff.New(s)
	if err != nil {
		t.Fatal(err)
	}
	logger.Info("both", "bir", b, "signed", s)
	if out := log.String(); strings.Contains(out, "FIR") || strings.Contains(out, vectorSignature[:20]) ||
		!strings.Contains(out, "bir.subtype=Left") {
		t.Error(out)
	}
}
