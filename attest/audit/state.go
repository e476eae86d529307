package audit

import (
	"bytes"
	"errors"
	"fmt"
)

// A fileHeader is the first record of a file: all that is needed to go on
// without the files before.
type fileHeader struct {
	Number   uint64 `json:"number"`   // of the file, from 1
	First    uint64 `json:"first"`    // the oldest file that is kept
	Previous Hash   `json:"previous"` // hash of the last line of the file before, zeros in the first
	Mark     mark   `json:"mark"`
}

// A mark remembers a checkpoint.
type mark struct {
	By    Means  `json:"by,omitempty"`
	Count uint64 `json:"count"` // 0 when there was no checkpoint yet
	Hash  Hash   `json:"hash"`  // Checkpoint.Hash
}

// A state is what follows from the lines read so far: all that the next line
// has to agree with.
type state struct {
	chain
	file   fileHeader
	intent chain // where the last intent left the chain
	mark   mark  // the last checkpoint
	public []byte
	fresh  bool // something was recorded since the last checkpoint
}

// begun says whether the state has seen a file's first line.
func (s *state) begun() bool { return s.file.Number != 0 }

// take reads the next line. What it returns beside an error is nothing, except
// for errCheckpoint: then the line itself is good.
func (s *state) take(line []byte) (record, error) {
	if s.begun() && !isHeader(line) {
		r, err := s.open(line)
		if err != nil {
			return record{}, err
		}
		return r, s.note(r)
	}
	return s.header(line)
}

var errCheckpoint = errors.New("checkpoint does not agree with the log")

// note moves the state on by a record that is in the chain.
func (s *state) note(r record) error {
	switch r.Kind {
	case kindIntent:
		s.intent = s.chain
	case kindCheckpoint:
		c := r.Checkpoint
		if c == nil {
			return fmt.Errorf("%w: record %d holds none", errCheckpoint, r.Number)
		}
		old, public := s.mark, s.public
		s.mark, s.public, s.fresh = c.mark(), c.Public, false
		if (chain{c.Records, c.Head}) != s.intent || c.Previous != old.Hash {
			return fmt.Errorf("%w: it is about another state", errCheckpoint)
		}
		if err := old.followed(c, public); err != nil {
			return fmt.Errorf("%w: %w", errCheckpoint, err)
		}
	case kindFile:
		return errors.New("first record of a file within a file")
	default:
		s.fresh = true
	}
	return nil
}

// followed checks that no count lies between the checkpoint remembered and the
// next one, and that both counts are of one counter.
func (m mark) followed(c *Checkpoint, public []byte) error {
	switch {
	case m.Count == 0:
		return nil
	case m.By != c.By:
		return fmt.Errorf("by %s after one by %s", c.By, m.By)
	case c.By == ByTPM && public != nil && string(public) != string(c.Public):
		return errors.New("by another counter than the one before")
	case c.Count != m.Count+1:
		return fmt.Errorf("count %d after %d", c.Count, m.Count)
	}
	return nil
}

// isHeader says whether a line is the first of a file. Quotes within a text
// are escaped, so this can only be a member.
func isHeader(line []byte) bool { return bytes.Contains(line, []byte(`"kind":"file"`)) }

// header reads the first line of a file. When there was a file before, it must
// go on where that one ended.
func (s *state) header(line []byte) (record, error) {
	text, _, err := split(line)
	if err != nil {
		return record{}, err
	}
	r, err := decode(text)
	if err != nil {
		return record{}, err
	}
	h := r.File
	if r.Kind != kindFile || h == nil || h.Number == 0 || r.Number == 0 {
		return record{}, errors.New("not the first record of a file")
	}
	next := state{chain: chain{r.Number - 1, h.Previous}, file: *h, mark: h.Mark}
	if _, err := next.open(line); err != nil {
		return record{}, err
	}
	if s.begun() {
		switch {
		case h.Number != s.file.Number+1:
			return record{}, fmt.Errorf("file %d after file %d", h.Number, s.file.Number)
		case h.Previous != s.Head || r.Number != s.Number+1:
			return record{}, errors.New("the file does not go on where the one before ended")
		case h.Mark != s.mark || h.First < s.file.First:
			return record{}, errors.New("the file remembers something else than the one before")
		}
		next.public, next.fresh = s.public, s.fresh
	}
	*s = next
	return r, nil
}
