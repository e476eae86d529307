package audit

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// maxLine bounds a line; the longest, a checkpoint, has about two thousand
// bytes.
const maxLine = 64 << 10

// A Hash is SHA-256, in text 64 characters of lower-case hex.
type Hash [sha256.Size]byte

// String returns the hash in hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText returns the hash in hex.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads a hash in hex.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != 2*len(h) {
		return fmt.Errorf("hash of %d characters, expected %d of hex", len(text), 2*len(h))
	}
	_, err := hex.Decode(h[:], text)
	return err
}

// A record is a line without its hash.
type record struct {
	Number      uint64      `json:"n"` // from 1, over all files
	Time        string      `json:"time"`
	Kind        Kind        `json:"kind"`
	Device      string      `json:"device,omitempty"`
	Transaction string      `json:"transaction,omitempty"`
	Positions   []string    `json:"positions,omitempty"`
	Scores      []float64   `json:"scores,omitempty"`
	Outcome     string      `json:"outcome,omitempty"`
	Detail      string      `json:"detail,omitempty"`
	File        *fileHeader `json:"file,omitempty"`
	Checkpoint  *Checkpoint `json:"checkpoint,omitempty"`
	Salt        []byte      `json:"salt"`
}

const (
	saltSize   = 16
	hashMember = `,"hash":"`
	lineEnd    = "\"}\n"
	tailSize   = len(hashMember) + 2*sha256.Size + len(lineEnd)
)

// A chain is the state of the hashes behind a record.
type chain struct {
	Number uint64 // of the record
	Head   Hash   // of its line
}

// link returns the hash of the line that follows and begins with text.
func (c chain) link(text []byte) Hash {
	h := sha256.New()
	h.Write(c.Head[:])
	h.Write(text)
	return Hash(h.Sum(nil))
}

// seal appends r as the chain's next line and moves the chain on.
func (c *chain) seal(lines []byte, r record) ([]byte, error) {
	r.Number = c.Number + 1
	r.Salt = make([]byte, saltSize)
	if _, err := rand.Read(r.Salt); err != nil {
		return nil, fmt.Errorf("make salt: %w", err)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	text = text[:len(text)-1] // the brace comes behind the hash
	*c = chain{r.Number, c.link(text)}
	lines = append(lines, text...)
	lines = append(lines, hashMember...)
	lines = append(lines, c.Head.String()...)
	return append(lines, lineEnd...), nil
}

var errChain = errors.New("hash does not follow from the line and the one before")

// open reads the chain's next line, with its line end, and moves the chain on.
func (c *chain) open(line []byte) (record, error) {
	text, claimed, err := split(line)
	if err != nil {
		return record{}, err
	}
	head := c.link(text)
	// As text: there is one way to write a hash.
	if head.String() != claimed {
		return record{}, errChain
	}
	r, err := decode(text)
	if err != nil {
		return record{}, err
	}
	if r.Number != c.Number+1 {
		return record{}, fmt.Errorf("record %d after record %d", r.Number, c.Number)
	}
	*c = chain{r.Number, head}
	return r, nil
}

// split cuts a line into what is hashed and the hash.
func split(line []byte) (text []byte, hash string, err error) {
	if len(line) < tailSize {
		return nil, "", errors.New("too short for a record")
	}
	text, tail := line[:len(line)-tailSize], line[len(line)-tailSize:]
	end, ok := bytes.CutPrefix(tail, []byte(hashMember))
	if !ok || !bytes.HasSuffix(end, []byte(lineEnd)) {
		return nil, "", errors.New("does not end with a hash")
	}
	return text, string(end[:2*sha256.Size]), nil
}

// decode reads a record from what is hashed of its line.
func decode(text []byte) (record, error) {
	var r record
	if err := json.Unmarshal(append(bytes.Clone(text), '}'), &r); err != nil {
		return record{}, fmt.Errorf("no record: %w", err)
	}
	return r, nil
}
