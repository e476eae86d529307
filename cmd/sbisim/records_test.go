package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sbid/attest"
	"sbid/capture/cbeff"
	"sbid/capture/imagecodec"
	"sbid/capture/iso19794"
)

// ridges draws a small print of parallel ridges, enough to be a finger.
func ridges(w, h int) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			phase := 2 * math.Pi * (float64(y) + 6*math.Sin(float64(x)/40)) / 9
			img.Pix[y*img.Stride+x] = uint8(128 + 100*math.Sin(phase))
		}
	}
	return img
}

// playedFrames writes pictures as sbisim --frames reads them.
func playedFrames(t testing.TB, pictures map[string]image.Image) string {
	t.Helper()
	dir := t.TempDir()
	for name, img := range pictures {
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".png"), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// bioValues captures and returns the records of the answer.
func (s *sim) bioValues(kind, device, sub, count, more string) [][]byte {
	s.t.Helper()
	_, answer := s.call("RCAPTURE", s.registration+"/capture", fmt.Sprintf(`{"env":"Developer","purpose":"Registration","specVersion":"0.9.5",
		"timeout":"20000","transactionId":"records-1","bio":[{"type":%q,"count":%q,"requestedScore":"20","deviceId":%q,"deviceSubId":%q%s}]}`,
		kind, count, device, sub, more))
	var got struct {
		Biometrics []struct {
			Data  string
			Error struct{ ErrorCode, ErrorInfo string }
		}
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		s.t.Fatal(err)
	}
	var records [][]byte
	for _, b := range got.Biometrics {
		if b.Error.ErrorCode != "0" {
			s.t.Fatalf("capture of %s %s: %+v", kind, sub, b.Error)
		}
		v, err := attest.Verify(b.Data)
		if err != nil {
			s.t.Fatal(err)
		}
		var block struct{ BioValue string }
		if err := json.Unmarshal(v.Payload, &block); err != nil {
			s.t.Fatal(err)
		}
		record, err := base64.RawURLEncoding.DecodeString(block.BioValue)
		if err != nil {
			s.t.Fatal(err)
		}
		records = append(records, record)
	}
	return records
}

// What a scanner saw comes out of the record bit by bit.
func TestPlayedPictureIsInTheRecord(t *testing.T) {
	pictures := map[string]image.Image{"left-index": ridges(201, 307)}
	const sample = "../../../shared/samples/left-index-registration-lossless.pgm"
	if data, err := os.ReadFile(sample); err != nil {
		t.Log("no shared samples here; only a picture of our own is played")
	} else if pictures["right-ring"], _, err = imagecodec.Decode(data); err != nil {
		t.Fatal(err)
	}
	s := start(t, "--frames", playedFrames(t, pictures), "--purpose", "Registration")
	for name, sub := range map[string][2]string{"left-index": {"1", "Left IndexFinger"}, "right-ring": {"2", "Right RingFinger"}} {
		picture, played := pictures[name].(*image.Gray)
		if !played {
			continue
		}
		records := s.bioValues("Finger", "1", sub[0], "1", fmt.Sprintf(`,"bioSubType":[%q]`, sub[1]))
		if len(records) != 1 {
			t.Fatalf("%s: %d records", name, len(records))
		}
		record, err := iso19794.DecodeFinger(records[0])
		if err != nil {
			t.Fatal(err)
		}
		img, info, err := imagecodec.DecodeJP2(record.Data)
		if err != nil {
			t.Fatal(err)
		}
		gray, ok := img.(*image.Gray)
		if !ok || !info.Reversible || gray.Rect.Size() != picture.Rect.Size() {
			t.Fatalf("%s: %T %+v, played was %v", name, img, info, picture.Rect)
		}
		for y := range picture.Rect.Dy() {
			if !bytes.Equal(gray.Pix[y*gray.Stride:][:picture.Rect.Dx()], picture.Pix[y*picture.Stride:][:picture.Rect.Dx()]) {
				t.Fatalf("%s: row %d differs from the picture that was played", name, y)
			}
		}
	}
}

// Every BIR stands what MOSIP's registration processor does to it: the token is
// put together again from BDB, SB and PAYLOAD, and verifies; the certificates
// of the digital ID are among those of the data.
func TestCBEFFAnswer(t *testing.T) {
	s := start(t, "--purpose", "Registration")
	trust, err := attest.ReadTrust(filepath.Join(s.state, "trust"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind, device, sub, count, exception string
		subtypes                            []string
	}{
		{"Finger", "1", "2", "3", `"Right RingFinger"`, []string{"Right IndexFinger", "Right MiddleFinger", "Right LittleFinger"}},
		{"Iris", "2", "3", "2", "", []string{"Left", "Right"}},
		{"Face", "3", "0", "1", "", []string{""}},
		{"Face", "3", "0", "1", `"Left LittleFinger"`, []string{""}}, // an exception photo
	} {
		body := fmt.Sprintf(`{"env":"Developer","purpose":"Registration","specVersion":"0.9.5","timeout":"20000","transactionId":"bioValue",
			"bio":[{"type":%q,"count":%q,"requestedScore":"20","exception":[%s],"deviceId":%q,"deviceSubId":%q}]}`,
			c.kind, c.count, c.exception, c.device, c.sub)
		resp, doc := s.call("RCAPTURE", s.registration+"/capture", body, "Accept", "text/html, application/cbeff+xml;q=0.9")
		if got := resp.Header.Get("Content-Type"); got != "application/cbeff+xml" {
			t.Fatalf("%s: content type %s: %.300s", c.kind, got, doc)
		}
		if wrong := cbeff.Validate(doc); wrong != nil {
			t.Errorf("%s: %v", c.kind, wrong)
		}
		photo := c.kind == "Face" && c.exception != ""
		validateXSD(t, doc, photo)
		birs, err := cbeff.Parse(doc)
		if err != nil {
			t.Fatal(err)
		}
		if len(birs) != len(c.subtypes) {
			t.Fatalf("%s: %d BIRs, want %d", c.kind, len(birs), len(c.subtypes))
		}
		for i, b := range birs {
			if wrong := b.Check(); wrong != nil {
				t.Errorf("%s: %v", c.kind, wrong)
			}
			if b.BDBInfo.Subtype != c.subtypes[i] || photo != (b.BDBInfo.Type == "ExceptionPhoto") {
				t.Errorf("BIR %d is of %s %q, want %q", i, b.BDBInfo.Type, b.BDBInfo.Subtype, c.subtypes[i])
			}
			token, err := b.Token()
			if err != nil {
				t.Fatal(err)
			}
			data, err := attest.Verify(token)
			if err != nil {
				t.Fatalf("%s: %v", c.kind, err)
			}
			if err := trust.Check(attest.DomainDevice, data.Leaf(), time.Now()); err != nil {
				t.Error(err)
			}
			var block struct{ DigitalID, BioValue, QualityScore string }
			if err := json.Unmarshal(data.Payload, &block); err != nil {
				t.Fatal(err)
			}
			id, err := attest.Verify(block.DigitalID)
			if err != nil {
				t.Fatal(err)
			}
			if !data.Covers(id) {
				t.Errorf("%s: certificates of the digital ID are not all in the data's x5c", c.kind)
			}
			record, err := iso19794.Decode(b.BDB)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range iso19794.Check(record, iso19794.Registration) {
				t.Errorf("%s: %v", c.kind, f)
			}
			if whole, _, _ := strings.Cut(block.QualityScore, "."); whole != fmt.Sprint(b.BDBInfo.Quality.Score) {
				t.Errorf("score %d, signed was %s", b.BDBInfo.Quality.Score, block.QualityScore)
			}
		}
	}
	// An error stays what every client expects.
	resp, answer := s.call("RCAPTURE", s.registration+"/capture", "{}", "Accept", "application/cbeff+xml")
	if resp.Header.Get("Content-Type") != "application/json" || !bytes.Contains(answer, []byte(`"errorCode":"500"`)) {
		t.Errorf("error: %s %s", resp.Header.Get("Content-Type"), answer)
	}
}

// validateXSD validates against MOSIP's schema files, where they are at hand.
// One of the two copies does not know exception photos.
func validateXSD(t *testing.T, doc []byte, exceptionPhoto bool) {
	t.Helper()
	schemas := []string{"mosip-cbeff.xsd", "mosip-cbeff-docs.xsd"}
	if exceptionPhoto {
		schemas = schemas[:1]
	}
	file := filepath.Join(t.TempDir(), "cbeff.xml")
	if err := os.WriteFile(file, doc, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range schemas {
		schema := filepath.Join("../../../shared/samples", name)
		if _, err := os.Stat(schema); err != nil {
			t.Log("no shared samples here; only our own validator judged the document")
			return
		}
		out, err := exec.Command("xmllint", "--noout", "--huge", "--schema", schema, file).CombinedOutput()
		if err != nil {
			t.Errorf("xmllint (Debian package libxml2-utils) against %s: %v\n%s", name, err, out)
		}
	}
}
