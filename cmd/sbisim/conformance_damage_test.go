package main

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"sbid/attest"
)

// clone returns a copy of an exchange whose answer can be changed.
func (x *ctkExchange) clone(t *testing.T) *ctkExchange {
	t.Helper()
	c, run := *x, *x.ctkRun
	c.ctkRun = &run
	b, err := json.Marshal(x.elements)
	if err == nil {
		c.elements = nil
		err = json.Unmarshal(b, &c.elements)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &c
}

// data is the decoded payload of an element.
func (x *ctkExchange) data(i int) map[string]any {
	return x.elements[i]["dataDecoded"].(map[string]any)
}

// ctkNumber finds a case of a project by its number.
func ctkNumber(t *testing.T, number int) ctkCase {
	t.Helper()
	cases := ctkCases(t)
	i := slices.IndexFunc(cases, func(c ctkCase) bool { return c.number == number })
	if i < 0 {
		t.Fatalf("no case %d", number)
	}
	return cases[i]
}

// otherKey makes the toolkit's encryption key one that nothing was encrypted for.
func otherKey(t *testing.T) func(*ctkExchange) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return func(x *ctkExchange) { x.key = key }
}

// setSecond changes a member of the second element's payload.
func setSecond(member string, value any) func(*ctkExchange) {
	return func(x *ctkExchange) { x.data(1)[member] = value }
}

// Each validator fails for what it is there for, also where only the last of
// several elements is wrong.
func TestCTKValidatorsFail(t *testing.T) {
	type damage struct {
		check, name string
		do          func(*ctkExchange)
	}
	flip := func(token string) string { // another last byte of the signature
		last := map[bool]string{true: "AA", false: "QQ"}[!strings.HasSuffix(token, "AA")]
		return token[:len(token)-2] + last
	}
	swap := func(x *ctkExchange) { slices.Reverse(x.elements) }
	both := []damage{
		{"Sig", "signature", func(x *ctkExchange) { x.elements[1]["data"] = flip(x.elements[1]["data"].(string)) }},
		{"Sig", "no certificate", func(x *ctkExchange) { x.elements[1]["data"] = "e30.e30.e30" }},
		{"Sig", "digital ID's signature", func(x *ctkExchange) { x.data(1)["digitalId"] = flip(x.data(1)["digitalId"].(string)) }},
		{"Sig", "nobody trusted", func(x *ctkExchange) { x.trust = new(attest.Trust) }},
		{"Sig", "level", func(x *ctkExchange) { x.device = map[string]any{"certification": "L2"} }},
		{"Sig", "no elements", func(x *ctkExchange) { x.elements = nil }},
		{"Mis", "one element too few", func(x *ctkExchange) { x.elements = x.elements[:1] }},
		{"Mis", "transaction", setSecond("transactionId", "SBI1000-123")},
		{"Mis", "purpose", setSecond("purpose", "Both")},
		{"Mis", "env", setSecond("env", "Staging")},
		{"Mis", "score", setSecond("requestedScore", "40.0")},
		{"Mis", "position", setSecond("bioSubType", "Right Thumb")},
		{"Mis", "device", setSecond("deviceCode", "ANOTHER12345")},
		{"ISO", "position", setSecond("bioSubType", "Left Thumb")},
		{"ISO", "time", setSecond("timestamp", "2020-01-02T03:04:05Z")},
		{"ISO", "quality", setSecond("qualityScore", "0")},
		{"ISO", "record cut short", func(x *ctkExchange) { x.data(1)["bioValue"] = x.data(1)["bioValue"].(string)[4:] }},
		{"Qual", "no number", setSecond("qualityScore", "good")},
		{"Time", "from the past", setSecond("timestamp", "2020-01-02T03:04:05Z")},
		{"Time", "from the future", setSecond("timestamp", time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05Z"))},
		{"Hash", "order", swap},
		{"Hash", "lower case", func(x *ctkExchange) { x.elements[1]["hash"] = strings.ToLower(x.elements[1]["hash"].(string)) }},
		{"Hash", "chain begun anew", func(x *ctkExchange) { x.before = x }},
		{"Tmo", "early", func(x *ctkExchange) { x.c.timeout = x.took() + time.Millisecond }},
	}
	tests := []struct {
		number  int // of the case whose answer is damaged
		damages []damage
	}{
		{1009, both},
		{1019, append([]damage{
			{"ISO", "key", otherKey(t)},
			{"Hash", "key", otherKey(t)},
			{"Qual", "thumbprint", func(x *ctkExchange) { x.elements[1]["thumbprint"] = strings.Repeat("0F", 32) }},
			{"Sig", "certified as L0", func(x *ctkExchange) { x.device = map[string]any{"certification": "L0"} }},
		}, both...)},
	}
	for _, tt := range tests {
		c := ctkNumber(t, tt.number)
		c.score = "1" // of any quality
		p := ctkProjects[slices.IndexFunc(ctkProjects, func(p ctkProject) bool { return p.name == c.project })]
		r := newCTKRun(t, p, nil, run)
		x := r.exchange(t, c, nil)
		for _, d := range tt.damages {
			t.Run(p.name+"/"+d.check+"/"+d.name, func(t *testing.T) {
				sound, damaged := x.clone(t), x.clone(t)
				if d.check == "Tmo" {
					sound.c.timeout = x.took()
				}
				if err := ctkValidators[d.check](sound); err != nil {
					t.Errorf("undamaged: %v", err)
				}
				d.do(damaged)
				if err := ctkValidators[d.check](damaged); err == nil {
					t.Error("it passes")
				}
			})
		}
		t.Run(p.name+"/punctual", func(t *testing.T) {
			if err := x.punctual(); err != nil {
				t.Errorf("undamaged: %v", err)
			}
			late, early := x.clone(t), x.clone(t)
			late.c.timeout, late.end = 0, late.start.Add(ctkLateness+time.Second)
			early.c.score = "100"
			for _, x := range []*ctkExchange{late, early} {
				if x.punctual() == nil {
					t.Error("it passes")
				}
			}
		})
		t.Run(p.name+"/Key", func(t *testing.T) {
			info := ctkNumber(t, 1022)
			before := r.exchange(t, info, nil)
			if same := r.exchange(t, info, before); same.rotation() == nil {
				t.Error("no rotation passes for one")
			}
			r.operate(t, "rotate", " ")
			after := r.exchange(t, info, before)
			if err := after.rotation(); err != nil {
				t.Errorf("undamaged: %v", err)
			}
			back := before.clone(t)
			back.before = after
			if back.rotation() == nil {
				t.Error("the old key coming back passes for a rotation")
			}
		})
	}
}
