// Package audit keeps the record of what a service did, in files that are only
// ever added to and that show when somebody changed them.
//
// A line of a file is a JSON object, one record, whose last member is a hash:
// SHA-256 over the hash of the line before and the text of this one. So a line
// that was changed, removed, repeated or moved breaks every hash from there on.
// Now and then a checkpoint pins the last hash to a count in the TPM that never
// goes back: see Checkpointer. What a record may say is in Event; a random salt
// in each keeps its hash from telling anything.
//
// A hash chain and no tree: whoever checks the log reads it whole, retention
// takes away the lines that short proofs would be about, and each checkpoint
// names the one before, which proves that a newer log extends an older one.
package audit

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// A Kind says what a record is about. The set is closed.
type Kind string

// What a service records.
const (
	Start         Kind = "start"         // the service began
	Stop          Kind = "stop"          // the service ended in good order
	Provision     Kind = "provision"     // a key was certified for the first time
	Rotate        Kind = "rotate"        // a key took the place of another
	Retire        Kind = "retire"        // a key was destroyed
	Configuration Kind = "configuration" // a setting is not what it was
	Capture       Kind = "capture"       // a capture that began, whatever came of it
	Refusal       Kind = "refusal"       // a request that was turned down before a capture
	Tamper        Kind = "tamper"        // the housing was opened
)

// What the log records about itself.
const (
	// Gap: what happened to the log is not all in the log, and Detail says why.
	Gap Kind = "gap"

	kindFile       Kind = "file"       // the first record of each file
	kindIntent     Kind = "intent"     // the state that the next checkpoint is about
	kindCheckpoint Kind = "checkpoint" // what vouches for that state
)

var kinds = []Kind{Start, Stop, Provision, Rotate, Retire, Configuration, Capture, Refusal, Tamper}

// Bounds of what a record holds. Texts of requests are foreign: they are cut.
const (
	maxText = 256 // bytes of a text
	maxList = 32  // positions, scores
)

// An Event is what a record tells: never an image, a template, a hash of one,
// or the name of an operator or of a citizen.
type Event struct {
	Kind        Kind
	Device      string    // serial number or id of the device
	Transaction string    // transactionId of the request
	Positions   []string  // what was captured, as SBI's bioSubType names it
	Scores      []float64 // quality, one for each position
	Outcome     string    // SBI error code, "0" for success
	Detail      string    // a few words for a person
}

// ErrKept means that a record is not on the disk. It is kept in memory and
// written as soon as that can be done.
var ErrKept = errors.New("record is kept in memory")

// record returns the event as a record of a given time.
func (e Event) record(at time.Time) (record, error) {
	if !slices.Contains(kinds, e.Kind) {
		return record{}, fmt.Errorf("audit: %.40q is no kind of event", e.Kind)
	}
	if len(e.Positions) > maxList || len(e.Scores) > maxList {
		return record{}, fmt.Errorf("audit: %d positions and %d scores, expected %d at most", len(e.Positions), len(e.Scores), maxList)
	}
	for _, s := range e.Scores {
		if math.IsNaN(s) || math.IsInf(s, 0) {
			return record{}, fmt.Errorf("audit: a score is %v", s)
		}
	}
	positions := slices.Clone(e.Positions)
	for i := range positions {
		positions[i] = cut(positions[i])
	}
	return record{
		Time: stamp(at), Kind: e.Kind, Device: cut(e.Device), Transaction: cut(e.Transaction),
		Positions: positions, Scores: slices.Clone(e.Scores), Outcome: cut(e.Outcome), Detail: cut(e.Detail),
	}, nil
}

// cut returns the beginning of s that a record holds, as UTF-8.
func cut(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// stamp is a time in UTC with milliseconds.
func stamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }
