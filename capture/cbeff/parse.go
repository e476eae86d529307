package cbeff

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Validate says all that is wrong with a document by MOSIP's CBEFF schema; nil if
// nothing is. The one type that not all copies of the schema have,
// ExceptionPhoto, is allowed.
func Validate(doc []byte) []string {
	root, err := parseTree(doc)
	if err != nil {
		return []string{err.Error()}
	}
	return validate(root)
}

// Parse reads a document of at most 64 MiB and returns the BIRs of its container.
// The document must be valid by [Validate], and its container must be nothing
// else than one: its entries are checked, but not returned. Whether the BIRs are
// as MOSIP wants them is for [BIR.Check] to say.
func Parse(doc []byte) ([]BIR, error) {
	root, err := parseTree(doc)
	if err != nil {
		return nil, fmt.Errorf("parse CBEFF: %w", err)
	}
	if faults := validate(root); len(faults) > 0 {
		return nil, fmt.Errorf("parse CBEFF: %s", firstOf(faults))
	}
	for _, name := range []string{"BDBInfo", "SBInfo", "BDB", "SB"} {
		if root.has(name) {
			return nil, fmt.Errorf("parse CBEFF: the outer BIR has a %s of its own: it must be a mere container", name)
		}
	}
	var birs []BIR
	for _, e := range root.children {
		if e.name.Local != "BIR" {
			continue
		}
		b, err := readBIR(e)
		if err != nil {
			return nil, fmt.Errorf("parse CBEFF: BIR %d: %w", len(birs)+1, err)
		}
		birs = append(birs, b)
	}
	return birs, nil
}

// firstOf keeps an error about a thoroughly wrong document readable.
func firstOf(faults []string) string {
	const shown = 5
	if more := len(faults) - shown; more > 0 {
		return fmt.Sprintf("%s; and %d more", strings.Join(faults[:shown], "; "), more)
	}
	return strings.Join(faults, "; ")
}

// readBIR reads an element that is valid by the schema.
func readBIR(e *element) (BIR, error) {
	if e.has("BIR") {
		return BIR{}, errors.New("it holds BIRs: only a container may")
	}
	b := BIR{
		Version:      readVersion(e.child("Version")),
		CBEFFVersion: readVersion(e.child("CBEFFVersion")),
		Info:         readInfo(e.child("BIRInfo")),
		BDBInfo:      readBDBInfo(e.child("BDBInfo")),
		SBFormat:     readRegistryID(e.child("SBInfo").child("Format")),
		BDB:          readBase64(e.child("BDB")),
		SB:           string(readBase64(e.child("SB"))),
	}
	others := 0
	for _, c := range e.children {
		if c.name.Local != "others" {
			continue
		}
		if others++; others > 1 {
			return BIR{}, errors.New("more than one element others")
		}
		for _, entry := range c.children {
			key, _ := entry.attr("", "key")
			b.Others = append(b.Others, Entry{Key: key, Value: entry.text})
		}
	}
	return b, nil
}

func readInfo(e *element) BIRInfo {
	return BIRInfo{
		Creator:        e.child("Creator").text,
		Index:          e.child("Index").text,
		Payload:        readBase64(e.child("Payload")),
		Integrity:      isTrue(e.child("Integrity").text),
		CreationDate:   collapse(e.child("CreationDate").text),
		NotValidBefore: collapse(e.child("NotValidBefore").text),
		NotValidAfter:  collapse(e.child("NotValidAfter").text),
	}
}

func readBDBInfo(e *element) BDBInfo {
	i := BDBInfo{
		ChallengeResponse: readBase64(e.child("ChallengeResponse")),
		Index:             e.child("Index").text,
		Format:            readRegistryID(e.child("Format")),
		Encryption:        isTrue(e.child("Encryption").text),
		CreationDate:      collapse(e.child("CreationDate").text),
		NotValidBefore:    collapse(e.child("NotValidBefore").text),
		NotValidAfter:     collapse(e.child("NotValidAfter").text),
		Type:              readList(e.child("Type")),
		Subtype:           readList(e.child("Subtype")),
		Level:             e.child("Level").text,
		Product:           readRegistryID(e.child("Product")),
		CaptureDevice:     readRegistryID(e.child("CaptureDevice")),

		FeatureExtractionAlgorithm: readRegistryID(e.child("FeatureExtractionAlgorithm")),
		ComparisonAlgorithm:        readRegistryID(e.child("ComparisonAlgorithm")),
		CompressionAlgorithm:       readRegistryID(e.child("CompressionAlgorithm")),

		Purpose: e.child("Purpose").text,
	}
	if q := e.child("Quality"); e.has("Quality") {
		score := readUint32(q.child("Score"))
		i.Quality = &Quality{
			Algorithm: readRegistryID(q.child("Algorithm")),
			Score:     int(score),
			Failed:    q.has("QualityCalculationFailed"),
			Failure:   q.child("QualityCalculationFailed").text,
		}
	}
	return i
}

func readVersion(e *element) Version {
	return Version{Major: readUint32(e.child("Major")), Minor: readUint32(e.child("Minor"))}
}

func readRegistryID(e *element) RegistryID {
	return RegistryID{Organization: e.child("Organization").text, Type: e.child("Type").text}
}

// readUint32 returns 0 for an element that is not there; the schema saw to it
// that any other is a number.
func readUint32(e *element) uint32 {
	n, _ := strconv.ParseUint(collapse(e.text), 10, 32)
	return uint32(n)
}

// readBase64 returns nil for an element that is empty or not there; the schema
// saw to it that any other is base64.
func readBase64(e *element) []byte {
	b, _ := decodeBase64(e.text)
	if len(b) == 0 {
		return nil
	}
	return b
}

func readList(e *element) string { return strings.Join(fields(e.text), " ") }
