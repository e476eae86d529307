package cbeff_test

import (
	"strings"
	"testing"

	"sbid/capture/cbeff"
	"sbid/driver"
)

// Each change to the golden document is judged by Validate and, where it is at
// hand, by xmllint; both must say what the table says.
func TestValidateAgreesWithTheSchema(t *testing.T) {
	const (
		index   = "<Index>0b6c1a5e-6f0e-4c55-9d38-1f7a2a3f0001</Index>"
		date    = "<CreationDate>2026-11-22T11:20:05.789Z</CreationDate>"
		score   = "<Score>57</Score>"
		subtype = "<Subtype>Left</Subtype>"
		bdb     = "<BDB>SUlSADAyMAA=</BDB>"
		sb      = "<SB>ZTMwLi5jMmxu</SB>"
		retries = `<entry key="RETRIES">3</entry>`
		level   = "<Level>Raw</Level>"
		open    = `<BIR xmlns="http://standards.iso.org/iso-iec/19785/-3/ed-2/">`
		xsi     = `xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"`
	)
	docs, valid := map[string][]byte{}, map[string]bool{}
	for name, tt := range map[string]struct {
		old, new string
		fault    string // part of what Validate says; empty if it is valid
	}{
		"empty subtype":             {subtype, "<Subtype></Subtype>", ""},
		"subtype of two lists":      {subtype, "<Subtype>Left LeftVein</Subtype>", `Subtype: "LeftVein" is none of`},
		"subtype of veins":          {subtype, "<Subtype>LeftVein Palm</Subtype>", ""},
		"unknown subtype":           {subtype, "<Subtype>UNKNOWN</Subtype>", `"UNKNOWN" is none of`},
		"words of a list apart":     {subtype, "<Subtype>\n Left\tThumb </Subtype>", ""},
		"words and another blank":   {subtype, "<Subtype>Left\u00A0Thumb</Subtype>", "is none of"},
		"no subtype":                {subtype, "", ""},
		"fractional score":          {score, "<Score>57.5</Score>", `"57.5" is not a whole number`},
		"score above 100":           {score, "<Score>101</Score>", "from 0 to 100"},
		"negative score":            {score, "<Score>-1</Score>", "from 0 to 100"},
		"score with blanks":         {score, "<Score> 57\n</Score>", "from 0 to 100"},
		"calculation failed":        {score, "<QualityCalculationFailed>blurred</QualityCalculationFailed>", ""},
		"score and failure":         {score, score + "<QualityCalculationFailed/>", "QualityCalculationFailed: is one more"},
		"no score":                  {score, "", "Score or QualityCalculationFailed is missing"},
		"type in capitals":          {"<Type>Iris</Type>", "<Type>IRIS</Type>", `"IRIS" is none of`},
		"type Ear":                  {"<Type>Iris</Type>", "<Type>Ear</Type>", `"Ear" is none of`},
		"several types":             {"<Type>Iris</Type>", "<Type>Iris Face</Type>", ""},
		"no type":                   {"<Type>Iris</Type>", "", ""},
		"SB before BDB":             {bdb + "\n    " + sb, sb + bdb, "BDB: comes too late"},
		"two BDBs":                  {bdb, bdb + bdb, "BDB[2]: is one more"},
		"empty BDB":                 {bdb, "<BDB/>", ""},
		"url-safe BDB":              {bdb, "<BDB>SUlSADAyMA-_</BDB>", "BDB: is not base64"},
		"unpadded BDB":              {bdb, "<BDB>SUlSADAyMAA</BDB>", "BDB: is not base64"},
		"BDB with stray bits":       {bdb, "<BDB>SUlSADAyMAB=</BDB>", "BDB: is not base64"},
		"BDB in lines":              {bdb, "<BDB>\nSUlS\r\n\tADAy MAA=\n</BDB>", ""},
		"BDB with an element":       {bdb, "<BDB><Index/></BDB>", "BDB: elements where only text"},
		"braces around a UUID":      {index, "<Index>{0b6c1a5e-6f0e-4c55-9d38-1f7a2a3f0001}</Index>", "is not a UUID"},
		"blanks around a UUID":      {index, "<Index> 0b6c1a5e-6f0e-4c55-9d38-1f7a2a3f0001</Index>", "is not a UUID"},
		"UUID in capitals":          {index, "<Index>0B6C1A5E-6F0E-4C55-9D38-1F7A2A3F0001</Index>", ""},
		"date without zone":         {date, "<CreationDate>2026-11-22T11:20:05</CreationDate>", ""},
		"date with offset":          {date, "<CreationDate>2026-11-22T11:20:05.7+05:30</CreationDate>", ""},
		"date without time":         {date, "<CreationDate>2026-11-22</CreationDate>", "is not a date and time"},
		"date that does not exist":  {date, "<CreationDate>2026-02-29T11:20:05Z</CreationDate>", "that exists"},
		"date with a blank":         {date, "<CreationDate>2026-11-22 11:20:05Z</CreationDate>", "is not a date and time"},
		"offset too large":          {date, "<CreationDate>2026-11-22T11:20:05+14:01</CreationDate>", "is not a date and time"},
		"level with a blank":        {level, "<Level>Raw </Level>", `Level: "Raw " is none of`},
		"unknown purpose":           {"<Purpose>Enroll</Purpose>", "<Purpose>enroll</Purpose>", `Purpose: "enroll" is none of`},
		"no Integrity":              {"<Integrity>false</Integrity>", "", "Integrity is missing"},
		"Integrity 0":               {"<Integrity>false</Integrity>", "<Integrity> 0 </Integrity>", ""},
		"Integrity no":              {"<Integrity>false</Integrity>", "<Integrity>no</Integrity>", `"no" is none of`},
		"no BIRInfo":                {"<BIRInfo>\n    <Integrity>false</Integrity>\n  </BIRInfo>", "", "BIRInfo is missing"},
		"no minor version":          {"<Minor>1</Minor>", "", "Minor is missing"},
		"version too large":         {"<Minor>1</Minor>", "<Minor>4294967296</Minor>", "0 to 4294967295"},
		"organization after type":   {"<Organization>Mosip</Organization>", "", "Organization is missing"},
		"unknown element":           {level, level + "<Colour/>", "Colour: is not known here"},
		"text between elements":     {level, level + "Raw", "text between elements"},
		"no namespace":              {open, "<BIR>", "is not a BIR of the namespace"},
		"other namespace":           {open, `<BIR xmlns="http://docs.oasis-open.org/bias/ns/bias-1.0/">`, "is not a BIR"},
		"an element elsewhere":      {level, `<Level xmlns="urn:x">Raw</Level>`, "Level: is not in the namespace"},
		"prefixed names":            {level, `<x:Level xmlns:x="http://standards.iso.org/iso-iec/19785/-3/ed-2/">Raw</x:Level>`, ""},
		"attribute":                 {level, `<Level id="1">Raw</Level>`, `attribute "id" is not allowed`},
		"entry without key":         {retries, "<entry>3</entry>", "entry[2]: has no key"},
		"entry with more":           {retries, `<entry key="a" b="c">3</entry>`, `attribute "b" is not allowed`},
		"entry that is nil":         {retries, `<entry key="a" ` + xsi + ` xsi:nil="true"/>`, ""},
		"entry that is nil but not": {retries, `<entry key="a" ` + xsi + ` xsi:nil="1">3</entry>`, "has content although"},
		"nil that is no boolean":    {retries, `<entry key="a" ` + xsi + ` xsi:nil="maybe"/>`, "nil: "},
		"nil elsewhere":             {level, `<Level ` + xsi + ` xsi:nil="true"/>`, `attribute "nil" is not allowed`},
		"others that are nil":       {"<others>\n    <entry key=\"CONFIGURED\">leftEye,rightThumb</entry>\n  </others>", `<others ` + xsi + ` xsi:nil="true"/>`, ""},
		"schema location":           {open, open[:len(open)-1] + ` ` + xsi + ` xsi:schemaLocation="http://standards.iso.org/iso-iec/19785/-3/ed-2/ no.xsd">`, ""},
		"unknown entry":             {retries, `<entry key="WHATEVER">3</entry>`, ""},
		"comment and CDATA":         {level, "<!-- a --><Level>R<!-- b --><![CDATA[aw]]></Level>", ""},
	} {
		t.Run(name, func(t *testing.T) {
			doc := strings.Replace(goldenDocument, tt.old, tt.new, 1)
			if doc == goldenDocument {
				t.Fatalf("the document has no %s", tt.old)
			}
			faults := cbeff.Validate([]byte(doc))
			switch {
			case tt.fault == "" && faults != nil:
				t.Errorf("faults %q, want none", faults)
			case tt.fault != "" && !strings.Contains(strings.Join(faults, "\n"), tt.fault):
				t.Errorf("faults %q, want %q", faults, tt.fault)
			}
			docs[name], valid[name] = []byte(doc), tt.fault == ""
			if _, err := cbeff.Parse([]byte(doc)); (err == nil) != (faults == nil) {
				t.Errorf("Parse: %v; Validate: %q", err, faults)
			}
		})
	}
	checkAllWithXMLLint(t, bothSchemas, docs, valid)
}

// One of the two copies of the schema lacks this type, which the registration
// client writes all the same.
func TestExceptionPhotoIsValidByOneCopyOfTheSchema(t *testing.T) {
	s := vector(t)
	s.Position, s.ExceptionPhoto = driver.FullFace, true
	b, err := cbeff.New(s)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := cbeff.Marshal([]cbeff.BIR{b})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), "<Type>ExceptionPhoto</Type>\n      <Subtype></Subtype>") {
		t.Errorf("%s", doc)
	}
	if faults := cbeff.Validate(doc); faults != nil {
		t.Errorf("%q", faults)
	}
	const name = "exception photo"
	for schema, valid := range map[string]bool{"mosip-cbeff.xsd": true, "mosip-cbeff-docs.xsd": false} {
		checkAllWithXMLLint(t, schema, map[string][]byte{name: doc}, map[string]bool{name: valid})
	}
}

func TestFaultsSayWhere(t *testing.T) {
	doc := strings.ReplaceAll(goldenDocument, "<Score>0</Score>", "<Score>zero</Score>")
	doc = strings.Replace(doc, "<Level>Raw</Level>", "<Level>raw</Level>", 1)
	faults := cbeff.Validate([]byte(doc))
	want := []string{
		`BIR/BIR[1]/BDBInfo/Level: "raw" is none of Raw, Intermediate, Processed`,
		`BIR/BIR[2]/BDBInfo/Quality/Score: "zero" is not a whole number from 0 to 100`,
	}
	if strings.Join(faults, "\n") != strings.Join(want, "\n") {
		t.Errorf("faults %q, want %q", faults, want)
	}
}

// What an XML processor could be made to do with a document must not be done.
func TestParseRefusesDangerousDocuments(t *testing.T) {
	deep := strings.Repeat("<BIR>", 40) + strings.Repeat("</BIR>", 40)
	for name, tt := range map[string]struct{ doc, want string }{
		"document type": {strings.Replace(goldenDocument, "<BIR ", "<!DOCTYPE BIR><BIR ", 1), "document type"},
		"entities": {strings.Replace(goldenDocument, "<BIR ",
			`<!DOCTYPE BIR [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><BIR `, 1), "document type"},
		"external entity": {strings.Replace(goldenDocument, "<BIR ",
			`<!DOCTYPE BIR SYSTEM "file:///etc/passwd"><BIR `, 1), "document type"},
		"undeclared entity":      {strings.Replace(goldenDocument, "Mosip", "&nbsp;", 1), "entity"},
		"processing instruction": {strings.Replace(goldenDocument, "<BIRInfo>", "<?php ?><BIRInfo>", 1), "processing instruction"},
		"late declaration":       {"\n" + goldenDocument, "processing instruction"},
		"other encoding":         {strings.Replace(goldenDocument, "UTF-8", "UTF-16", 1), "encoding"},
		"nested too deep":        {strings.Replace(goldenDocument, "<BIR>", deep+"<BIR>", 1), "nested deeper"},
		"too many elements":      {strings.Replace(goldenDocument, "<BIR>", strings.Repeat("<BIR/>", 100_001)+"<BIR>", 1), "more than 100000 elements"},
		"too long":               {goldenDocument + strings.Repeat(" ", 64<<20), "at most"},
		"attribute twice":        {strings.Replace(goldenDocument, `<entry key="RETRIES">`, `<entry key="a" key="b">`, 1), "there twice"},
		"not UTF-8":              {strings.Replace(goldenDocument, "Mosip", "M\xFFsip", 1), "UTF-8"},
		"control character":      {strings.Replace(goldenDocument, "Mosip", "M&#1;sip", 1), "character"},
		"cut off":                {goldenDocument[:len(goldenDocument)/2], ""},
		"two roots":              {goldenDocument + "<BIR/>", "not one element"},
		"text behind":            {goldenDocument + "x", "not one element"},
		"empty":                  {"", "not one element"},
		"no XML":                 {"FIR\x00020\x00", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := cbeff.Parse([]byte(tt.doc)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if cbeff.Validate([]byte(tt.doc)) == nil {
				t.Error("Validate finds nothing")
			}
		})
	}
}

// Valid by the schema, but not a container of BIRs.
func TestParseRefusesOtherShapes(t *testing.T) {
	for name, tt := range map[string]struct{ old, new, want string }{
		"BIRs in BIRs": {
			"</BDBInfo>\n    <BDB>", "</BDBInfo><BIR><BIRInfo><Integrity>false</Integrity></BIRInfo></BIR><BDB>",
			"BIR 1: it holds BIRs",
		},
		"data in the container": {
			"  <others>\n    <entry key=\"CONFIGURED\"", "<BDB/>  <others>\n    <entry key=\"CONFIGURED\"",
			"the outer BIR has a BDB",
		},
		"two lists of entries": {"</others>", "</others><others/>", "BIR 1: more than one element others"},
	} {
		t.Run(name, func(t *testing.T) {
			doc := strings.Replace(goldenDocument, tt.old, tt.new, 1)
			if faults := cbeff.Validate([]byte(doc)); faults != nil {
				t.Errorf("faults %q", faults)
			}
			if _, err := cbeff.Parse([]byte(doc)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestParseTakesAByteOrderMark(t *testing.T) {
	if _, err := cbeff.Parse([]byte("\uFEFF" + goldenDocument)); err != nil {
		t.Error(err)
	}
}

func TestManyFaultsStayReadable(t *testing.T) {
	doc := strings.Replace(goldenDocument, "<BIR>", strings.Repeat("<BIR/>", 1000)+"<BIR>", 1)
	_, err := cbeff.Parse([]byte(doc))
	if err == nil || len(err.Error()) > 1000 || !strings.Contains(err.Error(), "and 995 more") {
		t.Errorf("error %v", err)
	}
}

func TestMarshalRefusesWhatTheSchemaRefuses(t *testing.T) {
	for want, change := range map[string]func(*cbeff.BIR){
		"is not a UUID":                      func(b *cbeff.BIR) { b.BDBInfo.Index = "1" },
		"is not a date and time":             func(b *cbeff.BIR) { b.BDBInfo.CreationDate = "yesterday" },
		`"UNKNOWN" is none of`:               func(b *cbeff.BIR) { b.BDBInfo.Subtype = "UNKNOWN" },
		`"101" is not a whole number`:        func(b *cbeff.BIR) { b.BDBInfo.Quality.Score = 101 },
		`"-1" is not a whole number`:         func(b *cbeff.BIR) { b.BDBInfo.Quality.Score = -1 },
		"U+0000, which XML cannot hold":      func(b *cbeff.BIR) { b.Others[0].Value = "\x00" },
		"key: has the character U+FFFE":      func(b *cbeff.BIR) { b.Others[0].Key = "\uFFFE" },
		"entry[5]: is not UTF-8":             func(b *cbeff.BIR) { b.Others[4].Value = "\xFF" },
		`BIRInfo/Index: "x" is not a UUID`:   func(b *cbeff.BIR) { b.Info.Index = "x" },
		"Level: \"Cooked\" is none of":       func(b *cbeff.BIR) { b.BDBInfo.Level = "Cooked" },
		`Purpose: "Registration" is none of`: func(b *cbeff.BIR) { b.BDBInfo.Purpose = "Registration" },
	} {
		t.Run(want, func(t *testing.T) {
			birs := goldenBIRs(t)
			change(&birs[0])
			if _, err := cbeff.Marshal(birs); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
		})
	}
}
