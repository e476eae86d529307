package iso19794

import (
	"fmt"
	"strings"
)

// A Finding is one thing that is wrong with a record, in words.
type Finding struct {
	// Refused says that MOSIP's checks fail the record for it. The others are
	// departures from the standard or from the MOSIP biometric image
	// specification that those checks overlook or merely warn of.
	Refused bool
	Text    string
}

func (f Finding) String() string {
	if f.Refused {
		return "refused: " + f.Text
	}
	return "warning: " + f.Text
}

type report []Finding

func (r *report) refuse(format string, args ...any) {
	*r = append(*r, Finding{Refused: true, Text: fmt.Sprintf(format, args...)})
}

func (r *report) warn(format string, args ...any) {
	*r = append(*r, Finding{Text: fmt.Sprintf(format, args...)})
}

func (r report) refused() report {
	var out report
	for _, f := range r {
		if f.Refused {
			out = append(out, f)
		}
	}
	return out
}

// String returns the texts on one line.
func (r report) String() string {
	texts := make([]string, len(r))
	for i, f := range r {
		texts[i] = f.Text
	}
	return strings.Join(texts, "; ")
}
