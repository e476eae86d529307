package attest

import (
	"encoding/hex"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const hashOfNothing = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"

func TestChainHashVectors(t *testing.T) {
	record := func(s string) []byte { return unhex(t, s) }
	tests := map[string]struct {
		previous string
		records  [][]byte
		want     []string
	}{
		"authentication": {
			previous: "",
			records: [][]byte{
				record("4649520030323000101112131415161718191a1b1c1d1e1f2021222324252627"),
				record("464952003032300028292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f4041424344454647"),
			},
			want: []string{
				"12E4334D2F560A1B58DBFB82293AC41752502F6313BD26CB7EA05E690CBBFB16",
				"366ADF40261FD6886FC9869E147848D6F8794E32A25601FBFCFBF03D0318BEFA",
			},
		},
		"toolkit": {
			previous: strings.ToLower(hashOfNothing),
			records:  [][]byte{[]byte("abc"), []byte("def")},
			want: []string{
				"BDDBDF7E9DF02F902EE5DD61B2B513D7566A2112FF97DB7DC3B6D184A43EF0E3",
				"D06FFD66589038DEEA66A68731881D1D14470238326C1C55C4855C1DA9F9A1DC",
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			link, err := ParsePreviousHash(tt.previous)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range tt.records {
				link = ChainHash(link, r)
				if link.String() != tt.want[i] {
					t.Errorf("record %d: got %s, want %s", i, link, tt.want[i])
				}
			}
		})
	}
}

func TestParsePreviousHash(t *testing.T) {
	for _, blank := range []string{"", " ", "\t\r\n"} {
		if h, err := ParsePreviousHash(blank); err != nil || h.String() != hashOfNothing {
			t.Errorf("%q: got %s, %v", blank, h, err)
		}
	}
	for name, text := range map[string]string{
		"short":       hashOfNothing[2:],
		"long":        hashOfNothing + "00",
		"odd":         hashOfNothing[1:],
		"no hex":      "G" + hashOfNothing[1:],
		"blank":       " " + hashOfNothing[1:],
		"blank round": " " + hashOfNothing + " ",
		"base64url":   "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU",
	} {
		if h, err := ParsePreviousHash(text); err == nil || h != (Hash{}) {
			t.Errorf("%s: got %s, %v", name, h, err)
		}
	}
}

func TestHashReadsWhatItWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash"))
		for _, text := range []string{h.String(), strings.ToLower(h.String())} {
			if got, err := ParsePreviousHash(text); err != nil || got != h {
				t.Fatalf("%s: got %s, %v", text, got, err)
			}
		}
	})
}

// A text is refused, blank, or hex of exactly what was read.
func FuzzParsePreviousHash(f *testing.F) {
	f.Add("")
	f.Add(hashOfNothing)
	f.Add(strings.ToLower(hashOfNothing))
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ParsePreviousHash(text)
		switch {
		case err != nil:
		case strings.TrimSpace(text) == "":
			if h.String() != hashOfNothing {
				t.Errorf("blank gives %s", h)
			}
		case !strings.EqualFold(hex.EncodeToString(h[:]), text):
			t.Errorf("%q gives %s", text, h)
		}
	})
}
