package cbeff_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"sbid/capture/cbeff"
	"sbid/driver"
)

// The tests of this file are one for each way in which CBEFF for MOSIP is known
// to go wrong.

func TestTrapBase64IsStandardInXMLAndURLSafeInTheToken(t *testing.T) {
	data := []byte("FIR\x00020\x00\xFB\xEF\xBE\xFF\xFF") // - and _ in base64url, + and / in base64
	value := b64url.EncodeToString(data)
	if !strings.ContainsAny(value, "-_") {
		t.Fatalf("%s shows no difference", value)
	}
	b, err := cbeff.New(cbeff.SignedRecord{
		Token:  "e30." + b64url.EncodeToString([]byte(`{"bioValue":"`+value+`"}`)) + ".c2ln",
		Record: data, Position: driver.LeftIndex, Quality: "1", Created: created, SpecVersion: "0.9.5",
	})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := cbeff.Marshal([]cbeff.BIR{b})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(doc, []byte("<BDB>"+base64.StdEncoding.EncodeToString(data)+"</BDB>")) {
		t.Errorf("%s", doc)
	}
}

func TestTrapSubtypeIsNeverUnknown(t *testing.T) {
	for _, p := range []driver.Position{driver.UnknownFinger, driver.UnknownIris} {
		s := vector(t)
		s.Position = p
		if _, err := cbeff.New(s); err == nil {
			t.Errorf("a BIR of %v", p)
		}
	}
}

func TestTrapScoreIsWholeAndDateEndsInZ(t *testing.T) {
	s := vector(t)
	s.Quality = "57.5"
	s.Created = time.Date(2026, 1, 1, 0, 30, 0, 0, time.FixedZone("", 5400))
	b, err := cbeff.New(s)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := cbeff.Marshal([]cbeff.BIR{b})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<Score>57</Score>", "<CreationDate>2025-12-31T23:00:00.000Z</CreationDate>"} {
		if !bytes.Contains(doc, []byte(want)) {
			t.Errorf("no %s in\n%s", want, doc)
		}
	}
	if at, ok := b.CreatedAt(); !ok || !at.Equal(s.Created) {
		t.Errorf("created at %v, %v; want %v", at, ok, s.Created)
	}
}

func TestTrapFormatIsMOSIPsAndOfTheModality(t *testing.T) {
	for p, want := range map[driver.Position]string{driver.LeftIndex: "7", driver.FullFace: "8", driver.LeftIris: "9"} {
		s := vector(t)
		s.Position = p
		b, err := cbeff.New(s)
		if err != nil {
			t.Fatal(err)
		}
		if b.BDBInfo.Format != (cbeff.RegistryID{Organization: "Mosip", Type: want}) {
			t.Errorf("%v: format %+v", p, b.BDBInfo.Format)
		}
	}
}

func TestTrapExceptionsHaveADateButNoBDB(t *testing.T) {
	b, err := cbeff.NewException(driver.LeftLittle, created, uuid1)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := b.CreatedAt(); !ok || b.BDB != nil || !b.IsException() {
		t.Errorf("%+v", b)
	}
}

func TestTrapLineEndsOfThePayloadSurvive(t *testing.T) {
	value := b64url.EncodeToString(record(driver.LeftIris))
	s := vector(t)
	s.Record = record(driver.LeftIris)
	s.Token = "e30." + b64url.EncodeToString([]byte("{\r\n\"bioValue\":\""+value+"\"\r}")) + ".c2ln"
	b, err := cbeff.New(s)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := cbeff.Marshal([]cbeff.BIR{b})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.ContainsRune(doc, '\r') {
		t.Error("a bare carriage return, which every XML reader turns into a line feed")
	}
	again, err := cbeff.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	if token, err := again[0].Token(); token != s.Token {
		t.Errorf("rebuilt %q, %v", token, err)
	}
}
