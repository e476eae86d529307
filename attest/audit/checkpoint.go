package audit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// A Means is what vouches for a checkpoint.
type Means string

// By a counter in the TPM nobody can go back, whoever controls the machine. A
// signature only says who had the key: with it the log can be written anew.
const (
	ByTPM       Means = "tpm"
	BySignature Means = "signature"
)

// A Statement binds a digest to a count.
type Statement struct {
	By        Means  `json:"by"`
	Count     uint64 `json:"count"`
	Attest    []byte `json:"attest"`    // TPMS_ATTEST, or the text that is signed
	Signature []byte `json:"signature"` // TPMT_SIGNATURE, or RSASSA-PKCS1-v1_5 with SHA-256
	Public    []byte `json:"public"`    // TPMS_NV_PUBLIC of the counter, or SubjectPublicKeyInfo
}

// A Checkpoint vouches for all records up to one.
type Checkpoint struct {
	Records  uint64 `json:"records"`  // how many
	Head     Hash   `json:"head"`     // hash of the last one's line
	Previous Hash   `json:"previous"` // Hash of the checkpoint before, zeros for the first
	Statement
}

// Digest is what the statement is about: SHA-256 of the number of records (8
// bytes, big endian), Head and Previous.
func (c *Checkpoint) Digest() Hash {
	b := binary.BigEndian.AppendUint64(nil, c.Records)
	b = append(b, c.Head[:]...)
	return sha256.Sum256(append(b, c.Previous[:]...))
}

// Hash names the checkpoint: SHA-256 of its digest, the SHA-256 of Attest and
// that of Signature.
func (c *Checkpoint) Hash() Hash {
	b := c.Digest()
	attest, signature := sha256.Sum256(c.Attest), sha256.Sum256(c.Signature)
	return sha256.Sum256(append(append(b[:], attest[:]...), signature[:]...))
}

func (c *Checkpoint) mark() mark { return mark{c.By, c.Count, c.Hash()} }

// A Checkpointer makes the statements of checkpoints.
//
// A count that was certified has to be spent before it says anything: as long
// as the counter stands there, it could be certified again for another log. So
// a checkpoint is certified first, written, and then the counter moves on. Each
// count has one checkpoint, and a count without one shows that something is
// missing.
type Checkpointer interface {
	// Certify makes a statement over digest with the counter as it stands. last
	// is the count of the checkpoint before, 0 if there was none.
	Certify(ctx context.Context, digest Hash, last uint64) (Statement, error)
	// Spend moves the counter on: the count before is never certified again.
	Spend(ctx context.Context) error
}

// Checkpoint makes one, whether or not there is something new. Records can be
// appended meanwhile. When the counter does not stand where the log says, a
// record of kind Gap says so and the checkpoint is made all the same.
func (l *Log) Checkpoint(ctx context.Context) error {
	l.checkpointing.Lock()
	defer l.checkpointing.Unlock()
	if l.opts.Checkpointer == nil {
		return errors.New("audit checkpoint: the log was opened without a checkpointer")
	}
	l.setCertifying(true)
	defer l.setCertifying(false)
	if err := l.checkpoint(ctx); err != nil {
		return fmt.Errorf("audit checkpoint: %w", err)
	}
	return nil
}

func (l *Log) checkpoint(ctx context.Context) error {
	by, last := l.opts.Checkpointer, l.lastMark()
	c, err := l.certify(ctx, last)
	if err != nil {
		return err
	}
	if c.By == last.By && c.Count == last.Count {
		// The machine stopped between writing that checkpoint and spending its
		// count.
		if err := by.Spend(ctx); err != nil {
			return err
		}
		if c, err = l.certify(ctx, last); err != nil {
			return err
		}
	}
	if err := last.followed(c, nil); err != nil {
		l.opts.Log.Error("the audit log does not match the counter: export and report it", "error", err)
		if err := l.write(record{Time: l.now(), Kind: Gap, Detail: cut("checkpoints do not follow: " + err.Error())}); err != nil {
			return err
		}
		if c, err = l.certify(ctx, last); err != nil {
			return err
		}
	}
	if err := l.write(record{Time: l.now(), Kind: kindCheckpoint, Checkpoint: c}); err != nil {
		return err
	}
	return by.Spend(ctx)
}

// certify records the intent and has what led up to it certified.
func (l *Log) certify(ctx context.Context, last mark) (*Checkpoint, error) {
	if err := l.write(record{Time: l.now(), Kind: kindIntent}); err != nil {
		return nil, err
	}
	l.mu.Lock()
	c := &Checkpoint{Records: l.state.intent.Number, Head: l.state.intent.Head, Previous: last.Hash}
	l.mu.Unlock()
	var err error
	c.Statement, err = l.opts.Checkpointer.Certify(ctx, c.Digest(), last.Count)
	return c, err
}

func (l *Log) setCertifying(is bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.certifying = is
}

func (l *Log) lastMark() mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.mark
}

// Last returns the newest checkpoint that was made since Open, nil if none was.
func (l *Log) Last() *Checkpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// How often Run looks after the log.
const (
	betweenCheckpoints = time.Hour
	betweenFlushes     = time.Minute // while records wait in memory
	patienceAtStop     = 10 * time.Second
)

// Run checks all files, makes a checkpoint at once, one each hour in which
// something was recorded, and one when ctx ends; and it writes what waits in
// memory. Whatever goes wrong is logged, and the next round tries again. Append
// Stop before ctx ends, and call Close after Run has returned.
func (l *Log) Run(ctx context.Context) {
	l.audit(ctx)
	l.look(ctx)
	checkpoints, flushes := time.NewTicker(betweenCheckpoints), time.NewTicker(betweenFlushes)
	defer checkpoints.Stop()
	defer flushes.Stop()
	for {
		select {
		case <-checkpoints.C:
			l.look(ctx)
		case <-flushes.C:
			_ = l.Flush() // it logs what is to be said
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), patienceAtStop)
			defer cancel()
			l.look(last)
			return
		}
	}
}

// look makes a checkpoint if there is something new.
func (l *Log) look(ctx context.Context) {
	l.mu.Lock()
	fresh := l.state.fresh
	l.mu.Unlock()
	if !fresh || l.opts.Checkpointer == nil {
		return
	}
	if err := l.Checkpoint(ctx); err != nil {
		l.opts.Log.Warn("no checkpoint of the audit log", "error", err)
	}
}

// audit checks the files that Open did not look into.
func (l *Log) audit(ctx context.Context) {
	_, err := Verify(ctx, l.opts.Dir, VerifyOptions{})
	if !errors.Is(err, ErrBroken) {
		return
	}
	l.opts.Log.Error("the audit log was damaged or changed: export and report it", "error", err)
	if err := l.write(record{Time: l.now(), Kind: Gap, Detail: cut(err.Error())}); err != nil {
		l.opts.Log.Error("audit log", "error", err)
	}
}
