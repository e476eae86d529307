package tpm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/google/go-tpm/tpm2"
)

// DefaultCounter is the NV index of the counter unless a Config says
// otherwise. It is in the range that the Trusted Computing Group's registry of
// handles leaves to the owner of a TPM.
const DefaultCounter = 0x01805B1D

const (
	nvFirst, nvLast = 0x01000000, 0x01FFFFFF // of NV indices, Part 2 section 7.2

	counterName = "_counter" // of its file
	counterSize = 8          // bytes
)

// ErrCounterTaken means that what is at the counter's NV index is not this
// store's.
var ErrCounterTaken = errors.New("NV index of the counter belongs to another program: configure another index, " +
	"or take this one over by removing _counter.auth from the key store's directory")

// counterPublic is the public area of the counter before it has a value:
// whoever knows its authorisation value may increment it, nobody can set it.
func counterPublic(index tpm2.TPMHandle) tpm2.TPMSNVPublic {
	return tpm2.TPMSNVPublic{
		NVIndex: index,
		NameAlg: tpm2.TPMAlgSHA256,
		Attributes: tpm2.TPMANV{
			NT:        tpm2.TPMNTCounter,
			AuthRead:  true,
			AuthWrite: true,
			OwnerRead: true,
			NoDA:      true,
		},
		DataSize: counterSize,
	}
}

// IncrementCounter adds one to the store's counter and returns what it is then.
// The counter is defined when it is first used. It never goes down: after
// TPM2_Clear it is defined anew and goes on above the highest count that any
// counter of the TPM had. The memory wears: count hours, not events.
func (s *Store) IncrementCounter(ctx context.Context) (uint64, error) {
	value, err := s.incrementCounter(ctx)
	if err != nil {
		return 0, fmt.Errorf("increment counter: %w", err)
	}
	return value, nil
}

func (s *Store) incrementCounter(ctx context.Context) (uint64, error) {
	auth, err := s.counterAuth(ctx)
	if err != nil {
		return 0, err
	}
	// One operation increments, the next reads: an operation that fails may be
	// repeated, and the first has no command left to fail after incrementing.
	if _, err := do(ctx, s, func(t *task) (struct{}, error) {
		c, err := t.openCounter(s.counterIndex, auth)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, t.increment(c)
	}); err != nil {
		return 0, err
	}
	return do(ctx, s, func(t *task) (uint64, error) {
		c, err := t.openCounter(s.counterIndex, auth)
		if err != nil {
			return 0, err
		}
		return c.value, nil
	})
}

// CertifyCounter returns the TPM's word on what the counter stands at, by
// TPM2_NV_Certify. Public is the TPMS_NV_PUBLIC of the index, which says that
// it is a counter and hashes to the name in the statement. A counter without a
// value yet is incremented first. Qualifying, at most 32 bytes, comes back as
// the statement's extraData.
func (s *Store) CertifyCounter(ctx context.Context, qualifying []byte) (Statement, error) {
	statement, err := s.certifyCounter(ctx, qualifying)
	if err != nil {
		return Statement{}, fmt.Errorf("certify counter: %w", err)
	}
	return statement, nil
}

func (s *Store) certifyCounter(ctx context.Context, qualifying []byte) (Statement, error) {
	if err := checkQualifying(qualifying); err != nil {
		return Statement{}, err
	}
	auth, err := s.counterAuth(ctx)
	if err != nil {
		return Statement{}, err
	}
	return stated(ctx, s, func(t *task, ak *key, by *object) (Statement, error) {
		c, err := t.openCounter(s.counterIndex, auth)
		if err != nil {
			return Statement{}, err
		}
		if !c.public.Attributes.Written {
			if err := t.increment(c); err != nil {
				return Statement{}, err
			}
			// It has another name from now on.
			if c, err = t.openCounter(s.counterIndex, auth); err != nil {
				return Statement{}, err
			}
		}
		rsp, err := tpm2.NVCertify{
			SignHandle:     tpm2.AuthHandle{Handle: by.handle, Name: by.name, Auth: proof(c.srk, ak.auth)},
			AuthHandle:     c.authorised(),
			NVIndex:        c.index(),
			QualifyingData: tpm2.TPM2BData{Buffer: qualifying},
			Size:           counterSize,
		}.Execute(t.tpm)
		if err != nil {
			return Statement{}, refused(err, ak)
		}
		statement, err := ak.statement(rsp.CertifyInfo, rsp.Signature)
		statement.Public = tpm2.Marshal(c.public)
		return statement, err
	})
}

// A counterAuth is the authorisation value of the counter.
type counterAuth struct {
	value []byte
	// fresh: it was drawn just now, because there was none. A counter of an
	// earlier time may be there, whose value is lost.
	fresh bool
}

func (s *Store) counterAuth(ctx context.Context) (counterAuth, error) {
	value, err := s.readSecret(counterName, authSuffix)
	if !errors.Is(err, fs.ErrNotExist) {
		return counterAuth{value: value}, err
	}
	unlock, err := s.lockFiles(ctx)
	if err != nil {
		return counterAuth{}, err
	}
	defer unlock()
	// Another program may have drawn it meanwhile.
	value, err = s.readSecret(counterName, authSuffix)
	if !errors.Is(err, fs.ErrNotExist) {
		return counterAuth{value: value}, err
	}
	if value, err = newAuth(); err != nil {
		return counterAuth{}, err
	}
	return counterAuth{value, true}, s.write(counterName, authSuffix, value)
}

// A counter is the index as it is now.
type counter struct {
	srk    *object
	public tpm2.TPMSNVPublic
	name   tpm2.TPM2BName
	auth   []byte
	value  uint64 // 0 before it is first incremented
}

func (c *counter) index() tpm2.NamedHandle {
	return tpm2.NamedHandle{Handle: c.public.NVIndex, Name: c.name}
}

func (c *counter) authorised() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: c.public.NVIndex, Name: c.name, Auth: proof(c.srk, c.auth)}
}

// openCounter returns the counter. It is defined if it is not there, and
// defined anew if auth is fresh but the counter is not.
func (t *task) openCounter(index tpm2.TPMHandle, auth counterAuth) (*counter, error) {
	c, err := t.findCounter(index, auth.value)
	if err != nil {
		return nil, err
	}
	if c != nil {
		err := t.readCounter(c)
		if !isAny(err, []tpm2.TPMRC{tpm2.TPMRCBadAuth, tpm2.TPMRCAuthFail}) {
			return c, err
		}
		if !auth.fresh {
			return nil, fmt.Errorf("%w: index %#x: %w", ErrCounterTaken, index, err)
		}
		if err := t.undefine(c); err != nil {
			return nil, err
		}
	}
	if err := t.define(index, auth.value); err != nil {
		return nil, err
	}
	c, err = t.findCounter(index, auth.value)
	if err == nil && c == nil {
		err = fmt.Errorf("%w: index %#x is not there after it was defined", ErrCounterTaken, index)
	}
	return c, err
}

// findCounter returns the counter without its value, nil if nothing is at its
// index.
func (t *task) findCounter(index tpm2.TPMHandle, auth []byte) (*counter, error) {
	srk, err := t.root()
	if err != nil {
		return nil, err
	}
	rsp, err := tpm2.NVReadPublic{NVIndex: index}.Execute(t.tpm)
	if isAny(err, staleCodes) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	public, err := rsp.NVPublic.Contents()
	if err != nil {
		return nil, fmt.Errorf("index %#x: %w", index, err)
	}
	want := counterPublic(index)
	want.Attributes.Written = public.Attributes.Written
	if !bytes.Equal(tpm2.Marshal(*public), tpm2.Marshal(want)) {
		return nil, fmt.Errorf("%w: index %#x holds something else than a counter of ours", ErrCounterTaken, index)
	}
	return &counter{srk: srk, public: *public, name: rsp.NVName, auth: auth}, nil
}

func (t *task) readCounter(c *counter) error {
	rsp, err := tpm2.NVRead{AuthHandle: c.authorised(), NVIndex: c.index(), Size: counterSize}.Execute(t.tpm)
	if errors.Is(err, tpm2.TPMRCNVUninitialized) {
		return nil
	}
	if err != nil {
		return err
	}
	if n := len(rsp.Data.Buffer); n != counterSize {
		return fmt.Errorf("counter of %d bytes, expected %d", n, counterSize)
	}
	c.value = binary.BigEndian.Uint64(rsp.Data.Buffer)
	return nil
}

func (t *task) increment(c *counter) error {
	_, err := tpm2.NVIncrement{AuthHandle: c.authorised(), NVIndex: c.index()}.Execute(t.tpm)
	return err
}

func (t *task) define(index tpm2.TPMHandle, auth []byte) error {
	srk, err := t.root()
	if err != nil {
		return err
	}
	_, err = tpm2.NVDefineSpace{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: inSession(srk, nil)},
		Auth:       tpm2.TPM2BAuth{Buffer: auth},
		PublicInfo: tpm2.New2B(counterPublic(index)),
	}.Execute(t.tpm)
	if errors.Is(err, tpm2.TPMRCNVDefined) {
		return nil // somebody was faster: whose it is shows when it is used
	}
	return hierarchyError(err)
}

func (t *task) undefine(c *counter) error {
	_, err := tpm2.NVUndefineSpace{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: proof(c.srk, nil)},
		NVIndex:    c.index(),
	}.Execute(t.tpm)
	return hierarchyError(err)
}
