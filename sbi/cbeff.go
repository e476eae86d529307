package sbi

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"sbid/capture/cbeff"
)

// cbeffType is the media type that asks RCAPTURE for signed BIRs in one CBEFF
// document instead of SBI's JSON.
const cbeffType = "application/cbeff+xml"

// cbeffDocument makes a signed BIR of each element.
func cbeffDocument(req *captureRequest, elements []element) ([]byte, error) {
	var birs []cbeff.BIR
	for _, e := range elements {
		bir, err := cbeff.New(cbeff.SignedRecord{
			Token: e.Data, Record: e.record, Position: e.sample.Position,
			ExceptionPhoto: req.exceptionPhoto(), Quality: e.quality,
			Created: time.Now(), SpecVersion: specVersion, Retries: 1,
		})
		if err != nil {
			return nil, fmt.Errorf("BIR of %s: %w", e.sample.Position, err)
		}
		birs = append(birs, bir)
	}
	return cbeff.Marshal(birs)
}

// accepts says whether the client asks for a media type by name.
func accepts(r *http.Request, mediaType string) bool {
	for _, header := range r.Header.Values("Accept") {
		for accepted := range strings.SplitSeq(header, ",") {
			name, _, _ := strings.Cut(accepted, ";")
			if strings.EqualFold(strings.TrimSpace(name), mediaType) {
				return true
			}
		}
	}
	return false
}
