// Package tpm keeps signing keys in a TPM 2.0. Its Store is an attest.KeyStore
// whose private keys no program ever sees: they are made in the TPM, leave it
// encrypted by it or not at all, and sign there.
//
// A device key is a child of the storage root key. It lies on the disk as the
// TPM encrypted it, and is lost when the TPM is cleared. The FTM key, named
// FTMKey, is a primary key of the endorsement hierarchy, made from a secret
// label, and survives that.
//
// The store can prove what it has in the TPM. Its attestation key, a primary
// like the FTM key, signs nothing but statements of the TPM itself: about the
// other keys, the platform configuration registers, and a counter that only
// goes up. Endorsement and Activate prove which TPM the attestation key is in.
//
// In the directory of the store, which is for nothing else, there are
//
//	NAME.pem       a device key, in the TSS2 format
//	ftm.label      the label of the FTM key: with it and the TPM, anybody can sign
//	NAME.auth      the value that the TPM wants before it uses the key
//	NAME.json      which key of which TPM this is; written last: without it there is no key
//	_ak.*          the same of the attestation key
//	_counter.auth  the value that the TPM wants before it uses the counter
//	lock           held while files change
//
// all of mode 0600. A copy of ftm.label in a safe place makes the FTM key
// outlast the disk. Without the files _ak.* the attestation key is another, and
// without _counter.auth the counter is defined anew and continues above.
//
// Any number of programs may use the TPM and the directory at once; one at a
// time changes files. Behind a resource manager, as /dev/tpmrm0 and Windows
// have one, the storage root key stays loaded while the store is open, nothing
// else ever between two operations.
//
// The standard is the TPM 2.0 Library Specification of the Trusted Computing
// Group.
package tpm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-tpm/tpm2"

	"sbid/attest"
)

// A Config says where the TPM is and where the files of its keys are.
type Config struct {
	// Device is a device node, "tbs" on Windows, or "unix:PATH" or
	// "tcp:HOST:PORT" for the data channel of swtpm. Empty: DefaultDevice.
	Device string
	// Dir is made, with mode 0700, if it is not there.
	Dir string
	// Counter is the NV index of the counter, from 0x01000000 to 0x01FFFFFF.
	// 0: DefaultCounter. Two stores on one TPM need two.
	Counter uint32
}

// A Store is an open TPM with the keys of one directory. It is safe for
// concurrent use; the TPM does one thing at a time.
type Store struct {
	dir          string
	counterIndex tpm2.TPMHandle
	signLimit    time.Duration
	closeWait    time.Duration
	lockWait     time.Duration

	turn   chan struct{} // holds one token; who put it there owns chip
	chip   *chip
	closed bool // guarded by turn

	files sync.Mutex // held while files come and go

	attestation atomic.Pointer[key] // once it was opened
}

var _ attest.KeyStore = (*Store)(nil)

// Open makes sure that a TPM 2.0 answers and returns a store on it. Close it.
func Open(ctx context.Context, config Config) (*Store, error) {
	if config.Counter != 0 && (config.Counter < nvFirst || config.Counter > nvLast) {
		return nil, fmt.Errorf("open TPM key store: counter at %#x, expected an NV index from %#x to %#x", config.Counter, nvFirst, nvLast)
	}
	device := cmp.Or(config.Device, DefaultDevice)
	c, err := dial(device)
	if err != nil {
		return nil, fmt.Errorf("open TPM key store: %w", err)
	}
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open TPM key store: %w", err)
	}
	c.memoryWait = memoryWait
	s := &Store{
		dir:          config.Dir,
		counterIndex: tpm2.TPMHandle(cmp.Or(config.Counter, DefaultCounter)),
		signLimit:    signLimit,
		closeWait:    closeWait,
		lockWait:     lockWait,
		turn:         make(chan struct{}, 1),
		chip:         c,
	}
	_, err = do(ctx, s, func(t *task) (struct{}, error) { return struct{}{}, t.hello() })
	if err != nil {
		err = fmt.Errorf("open TPM at %s: %w", device, err)
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// hello asks for something that every TPM 2.0 knows and no older one, and makes
// room.
func (t *task) hello() error {
	_, err := t.property(tpm2.TPMPTManufacturer)
	if err == nil && t.exclusive {
		// Whoever left something loaded was killed.
		err = t.flushAll()
	}
	return err
}

// closeWait is how long Close lets an operation come to its end.
const closeWait = 5 * time.Second

// Close flushes what the store has in the TPM. Its signers do not work any
// more. An operation that is under way is waited for, but one on a socket not
// longer than a few seconds.
func (s *Store) Close() error {
	select {
	case s.turn <- struct{}{}:
	case <-time.After(s.closeWait):
		s.chip.wire.interrupt()
		s.turn <- struct{}{}
	}
	defer func() { <-s.turn }()
	if s.closed {
		return nil
	}
	s.closed = true
	return errors.Join(s.chip.release(), s.chip.wire.close())
}

// do carries out an operation when it is its turn. It returns as soon as ctx
// ends; an operation that has begun then goes on by itself to the point where
// the TPM is clean again, and its outcome is dropped.
func do[T any](ctx context.Context, s *Store, op func(*task) (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	var none T
	select {
	case <-ctx.Done():
		return none, context.Cause(ctx)
	case s.turn <- struct{}{}:
	}
	if s.closed {
		<-s.turn
		return none, ErrClosed
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		o.err = s.chip.run(ctx, func(t *task) (err error) {
			o.value, err = op(t)
			return err
		})
		<-s.turn
		done <- o
	}()
	select {
	case o := <-done:
		return o.value, explain(o.err)
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}
