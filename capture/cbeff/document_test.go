package cbeff_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sbid/capture/cbeff"
	"sbid/driver"
)

// samples is a folder beside the repository with MOSIP's schemas and a document
// that MOSIP's software reads.
const samples = "../../../shared/samples"

// goldenDocument is written by hand: one iris and one missing thumb.
const goldenDocument = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<BIR xmlns="http://standards.iso.org/iso-iec/19785/-3/ed-2/">
  <BIRInfo>
    <Integrity>false</Integrity>
  </BIRInfo>
  <BIR>
    <Version>
      <Major>1</Major>
      <Minor>1</Minor>
    </Version>
    <CBEFFVersion>
      <Major>1</Major>
      <Minor>1</Minor>
    </CBEFFVersion>
    <BIRInfo>
      <Integrity>false</Integrity>
    </BIRInfo>
    <BDBInfo>
      <Index>0b6c1a5e-6f0e-4c55-9d38-1f7a2a3f0001</Index>
      <Format>
        <Organization>Mosip</Organization>
        <Type>9</Type>
      </Format>
      <CreationDate>2026-11-22T11:20:05.789Z</CreationDate>
      <Type>Iris</Type>
      <Subtype>Left</Subtype>
      <Level>Raw</Level>
      <Purpose>Enroll</Purpose>
      <Quality>
        <Algorithm>
          <Organization>HMAC</Organization>
          <Type>SHA-256</Type>
        </Algorithm>
        <Score>57</Score>
      </Quality>
    </BDBInfo>
    <BDB>SUlSADAyMAA=</BDB>
    <SB>ZTMwLi5jMmxu</SB>
    <others>
      <entry key="EXCEPTION">false</entry>
      <entry key="RETRIES">3</entry>
      <entry key="SDK_SCORE">0.0</entry>
      <entry key="FORCE_CAPTURED">true</entry>
      <entry key="PAYLOAD">{"bioValue":"&lt;bioValue&gt;","a":"&amp;"}</entry>
      <entry key="SPEC_VERSION">0.9.5</entry>
    </others>
  </BIR>
  <BIR>
    <Version>
      <Major>1</Major>
      <Minor>1</Minor>
    </Version>
    <CBEFFVersion>
      <Major>1</Major>
      <Minor>1</Minor>
    </CBEFFVersion>
    <BIRInfo>
      <Integrity>false</Integrity>
    </BIRInfo>
    <BDBInfo>
      <Index>0b6c1a5e-6f0e-4c55-9d38-1f7a2a3f0002</Index>
      <Format>
        <Organization>Mosip</Organization>
        <Type>7</Type>
      </Format>
      <CreationDate>2026-11-22T11:20:05.789Z</CreationDate>
      <Type>Finger</Type>
      <Subtype>Right Thumb</Subtype>
      <Level>Raw</Level>
      <Purpose>Enroll</Purpose>
      <Quality>
        <Algorithm>
          <Organization>HMAC</Organization>
          <Type>SHA-256</Type>
        </Algorithm>
        <Score>0</Score>
      </Quality>
    </BDBInfo>
    <SB></SB>
    <others>
      <entry key="EXCEPTION">true</entry>
      <entry key="RETRIES">0</entry>
      <entry key="SDK_SCORE">0.0</entry>
      <entry key="FORCE_CAPTURED">false</entry>
      <entry key="PAYLOAD"></entry>
      <entry key="SPEC_VERSION"></entry>
    </others>
  </BIR>
  <others>
    <entry key="CONFIGURED">leftEye,rightThumb</entry>
  </others>
</BIR>
`

func goldenBIRs(t testing.TB) []cbeff.BIR {
	t.Helper()
	iris, err := cbeff.New(cbeff.SignedRecord{
		Token:  "e30." + b64url.EncodeToString([]byte(`{"bioValue":"SUlSADAyMAA","a":"&"}`)) + ".c2ln",
		Record: []byte("IIR\x00020\x00"), Position: driver.LeftIris, Quality: "57.9",
		Created: created, SpecVersion: "0.9.5", Retries: 3, ForceCaptured: true, Index: uuid1,
	})
	if err != nil {
		t.Fatal(err)
	}
	thumb, err := cbeff.NewException(driver.RightThumb, created, uuid2)
	if err != nil {
		t.Fatal(err)
	}
	return []cbeff.BIR{iris, thumb}
}

func TestMarshalGolden(t *testing.T) {
	got, err := cbeff.Marshal(goldenBIRs(t), cbeff.Entry{Key: cbeff.KeyConfigured, Value: "leftEye,rightThumb"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(goldenDocument, string(got)); diff != "" {
		t.Errorf("document differs (-want +got):\n%s", diff)
	}
	if faults := cbeff.Validate(got); faults != nil {
		t.Errorf("%q", faults)
	}
	checkWithXMLLint(t, got, true)
}

func TestParseGolden(t *testing.T) {
	got, err := cbeff.Parse([]byte(goldenDocument))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(goldenBIRs(t), got); diff != "" {
		t.Errorf("BIRs differ (-want +got):\n%s", diff)
	}
}

// fullBIR has all that the schema knows.
func fullBIR() cbeff.BIR {
	id := func(s string) cbeff.RegistryID { return cbeff.RegistryID{Organization: s, Type: s + " type"} }
	return cbeff.BIR{
		Version: cbeff.Version{Major: 4294967295, Minor: 2}, CBEFFVersion: cbeff.Version{Minor: 1},
		Info: cbeff.BIRInfo{
			Creator: `me & "you" <x>` + "\r\n\té", Index: uuid1, Payload: []byte{1, 2, 3}, Integrity: true,
			CreationDate: "2026-11-22T11:20:05", NotValidBefore: "2026-11-22T11:20:05.1+14:00",
			NotValidAfter: "2028-02-29T23:59:59Z",
		},
		BDBInfo: cbeff.BDBInfo{
			ChallengeResponse: []byte{4}, Index: uuid2, Format: id("format"), Encryption: true,
			CreationDate: "2026-11-22T11:20:05Z", NotValidBefore: "2026-11-22T11:20:05-01:30",
			NotValidAfter: "2026-11-22T11:20:05Z",
			Type:          "Vein Palm", Subtype: "LeftVein Wrist", Level: "Processed",
			Product: id("product"), CaptureDevice: id("device"),
			FeatureExtractionAlgorithm: id("extraction"), ComparisonAlgorithm: id("comparison"),
			CompressionAlgorithm: id("compression"), Purpose: "EnrollIdentify",
			Quality: &cbeff.Quality{Algorithm: id("quality"), Failed: true, Failure: "blurred"},
		},
		SBFormat: id("sb"), BDB: []byte("data"), SB: "\x00\xFF",
		Others: []cbeff.Entry{{Key: "a\t\"<&>\n", Value: "]]>\r"}, {Key: "", Value: ""}},
	}
}

func TestEverythingInTheSchemaRoundTrips(t *testing.T) {
	want := []cbeff.BIR{fullBIR()}
	doc, err := cbeff.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	checkWithXMLLint(t, doc, true)
	got, err := cbeff.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("BIR differs (-want +got):\n%s", diff)
	}
}

// The sample must read, be faultless, and be equal when it is written again but
// for the white space between elements.
func TestSample(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join(samples, "cbeff-registration.xml"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Logf("%s is absent: the golden document of this package stands in", samples)
		doc, err = []byte(goldenDocument), nil
	}
	if err != nil {
		t.Fatal(err)
	}
	birs, err := cbeff.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range birs {
		if faults := b.Check(); faults != nil {
			t.Errorf("BIR %d: %q", i+1, faults)
		}
	}
	again, err := cbeff.Marshal(birs, containerEntries(t, doc)...)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(flatten(t, doc), flatten(t, again)); diff != "" {
		t.Errorf("documents differ (-sample +ours):\n%s", diff)
	}
	checkWithXMLLint(t, again, true)
}

// containerEntries reads the entries of the outer BIR, which Parse leaves out.
func containerEntries(t *testing.T, doc []byte) []cbeff.Entry {
	t.Helper()
	var container struct {
		Entries []struct {
			Key   string `xml:"key,attr"`
			Value string `xml:",chardata"`
		} `xml:"others>entry"`
	}
	if err := xml.Unmarshal(doc, &container); err != nil {
		t.Fatal(err)
	}
	var out []cbeff.Entry
	for _, e := range container.Entries {
		out = append(out, cbeff.Entry{Key: e.Key, Value: e.Value})
	}
	return out
}

// flatten lists the tags and texts of a document.
func flatten(t *testing.T, doc []byte) []string {
	t.Helper()
	var out []string
	for dec := xml.NewDecoder(bytes.NewReader(doc)); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			out = append(out, fmt.Sprint("<", token.Name, token.Attr))
		case xml.EndElement:
			out = append(out, fmt.Sprint("</", token.Name))
		case xml.CharData:
			if text := strings.TrimSpace(string(token)); text != "" {
				out = append(out, text)
			}
		}
	}
}

// checkWithXMLLint compares with the verdict of another implementation of XML
// Schema, on both copies of MOSIP's schema that are about.
func checkWithXMLLint(t *testing.T, doc []byte, valid bool) {
	t.Helper()
	checkAllWithXMLLint(t, bothSchemas, map[string][]byte{"the document": doc}, map[string]bool{"the document": valid})
}

const bothSchemas = "mosip-cbeff*.xsd"

func checkAllWithXMLLint(t *testing.T, pattern string, docs map[string][]byte, valid map[string]bool) {
	t.Helper()
	schemas, err := filepath.Glob(filepath.Join(samples, pattern))
	if err != nil {
		t.Fatal(err)
	}
	if len(schemas) == 0 {
		t.Logf("no schemas in %s: not checked with xmllint", samples)
		return
	}
	if _, err := exec.LookPath("xmllint"); err != nil {
		t.Fatalf("xmllint is not installed: apt-get install libxml2-utils (%v)", err)
	}
	dir := t.TempDir()
	names := slices.Sorted(maps.Keys(docs))
	var files []string
	for i, name := range names {
		file := filepath.Join(dir, fmt.Sprintf("%d.xml", i))
		if err := os.WriteFile(file, docs[name], 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	for _, schema := range schemas {
		args := append([]string{"--noout", "--huge", "--nonet", "--schema", schema}, files...)
		out, err := exec.CommandContext(t.Context(), "xmllint", args...).CombinedOutput()
		if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
			t.Fatal(err)
		}
		for i, name := range names {
			yes := bytes.Contains(out, []byte(files[i]+" validates\n"))
			no := bytes.Contains(out, []byte(files[i]+" fails to validate\n"))
			if yes == no {
				t.Fatalf("xmllint says nothing of %s:\n%.1000s", name, out)
			}
			if yes != valid[name] {
				t.Errorf("xmllint with %s says of %s: valid %v, want %v", filepath.Base(schema), name, yes, valid[name])
			}
		}
	}
}
