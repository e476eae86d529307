package cbeff_test

import (
	"strings"
	"testing"

	"sbid/capture/cbeff"
)

func TestCheckNamesEveryDeparture(t *testing.T) {
	for want, change := range map[string]func(*cbeff.BIR){
		"Version 1.0: must be 1.1":                func(b *cbeff.BIR) { b.Version.Minor = 0 },
		"CBEFFVersion 0.0":                        func(b *cbeff.BIR) { b.CBEFFVersion = cbeff.Version{} },
		"Integrity is true":                       func(b *cbeff.BIR) { b.Info.Integrity = true },
		"no Index":                                func(b *cbeff.BIR) { b.BDBInfo.Index = "" },
		`Format organization "257"`:               func(b *cbeff.BIR) { b.BDBInfo.Format.Organization = "257" },
		`Format type "7": Iris needs 9`:           func(b *cbeff.BIR) { b.BDBInfo.Format.Type = "7" },
		`Type "Voice" is none of`:                 func(b *cbeff.BIR) { b.BDBInfo.Type = "Voice" },
		`Subtype "Left Thumb" names no position`:  func(b *cbeff.BIR) { b.BDBInfo.Subtype = "Left Thumb" },
		`Subtype "" names no position`:            func(b *cbeff.BIR) { b.BDBInfo.Subtype = "" },
		"no CreationDate":                         func(b *cbeff.BIR) { b.BDBInfo.CreationDate = "" },
		"has no zone":                             func(b *cbeff.BIR) { b.BDBInfo.CreationDate = "2026-11-22T11:20:05" },
		`Level "Processed"`:                       func(b *cbeff.BIR) { b.BDBInfo.Level = "Processed" },
		`Purpose "Verify"`:                        func(b *cbeff.BIR) { b.BDBInfo.Purpose = "Verify" },
		"no Quality":                              func(b *cbeff.BIR) { b.BDBInfo.Quality = nil },
		"Quality has no Score":                    func(b *cbeff.BIR) { b.BDBInfo.Quality.Failed = true },
		`Quality algorithm "NFIQ" of "HMAC"`:      func(b *cbeff.BIR) { b.BDBInfo.Quality.Algorithm.Type = "NFIQ" },
		`entry "RETRIES" is there twice`:          func(b *cbeff.BIR) { b.Others = append(b.Others, b.Others[1]) },
		"no entry RETRIES":                        func(b *cbeff.BIR) { b.Others[1].Key = "TRIES" },
		`entry EXCEPTION is "no"`:                 func(b *cbeff.BIR) { b.Others[0].Value = "no" },
		"no value of SPEC_VERSION":                func(b *cbeff.BIR) { b.Others[5].Value = "" },
		"the BIR has no BDB":                      func(b *cbeff.BIR) { b.BDB = nil },
		`BDB is no record of type "Iris"`:         func(b *cbeff.BIR) { b.BDB = []byte("FIR\x00020\x00") },
		"SB is not a JWS without its payload":     func(b *cbeff.BIR) { b.SB = "" },
		"PAYLOAD has no place for the record":     func(b *cbeff.BIR) { b.Others[4].Value = "{}" },
		"Version 2.1: must be 1.1":                func(b *cbeff.BIR) { b.Version.Major = 2 },
		"no entry FORCE_CAPTURED":                 func(b *cbeff.BIR) { b.Others[3].Key = "X" },
		`entry FORCE_CAPTURED is "maybe"`:         func(b *cbeff.BIR) { b.Others[3].Value = "maybe" },
		`Type "" is none of Finger, Iris, Face`:   func(b *cbeff.BIR) { b.BDBInfo.Type = "" },
		`Format type "": Iris needs 9`:            func(b *cbeff.BIR) { b.BDBInfo.Format = cbeff.RegistryID{} },
		`Type "ExceptionPhoto Face" is none of F`: func(b *cbeff.BIR) { b.BDBInfo.Type = "ExceptionPhoto Face" },
	} {
		t.Run(want, func(t *testing.T) {
			b := goldenBIRs(t)[0]
			change(&b)
			if faults := strings.Join(b.Check(), "\n"); !strings.Contains(faults, want) {
				t.Errorf("faults %q", faults)
			}
		})
	}
}

func TestCheckOfExceptions(t *testing.T) {
	for want, change := range map[string]func(*cbeff.BIR){
		"a BDB in the BIR of an exception":          func(b *cbeff.BIR) { b.BDB = []byte("FIR\x00020\x00") },
		"an SB in the BIR of an exception":          func(b *cbeff.BIR) { b.SB = "e30..c2ln" },
		"a missing face":                            func(b *cbeff.BIR) { b.BDBInfo.Type, b.BDBInfo.Subtype = "Face", "" },
		"Score 5 in the BIR of an exception":        func(b *cbeff.BIR) { b.BDBInfo.Quality.Score = 5 },
		"a PAYLOAD in the BIR of an exception":      func(b *cbeff.BIR) { b.Others[4].Value = "{}" },
		"a SPEC_VERSION in the BIR of an exception": func(b *cbeff.BIR) { b.Others[5].Value = "0.9.5" },
	} {
		t.Run(want, func(t *testing.T) {
			b := goldenBIRs(t)[1]
			change(&b)
			if faults := strings.Join(b.Check(), "\n"); !strings.Contains(faults, want) {
				t.Errorf("faults %q", faults)
			}
		})
	}
}
