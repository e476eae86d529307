package tpm

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// memoryWait is the memoryWait of a chip outside tests.
const memoryWait = 5 * time.Second

// A chip is the TPM as one operation after the other uses it. Whoever has the
// Store's turn may use it.
type chip struct {
	wire wire
	// raw: slots for objects are shared with every other program. Behind a
	// resource manager they are not, and the SRK can stay loaded.
	raw bool
	// exclusive: nobody else can have the TPM open.
	exclusive bool
	srk       *object // loaded, or nil
	// memoryWait is how long to wait for other programs to flush what fills
	// the TPM.
	memoryWait time.Duration

	// ekHash is the endorsement key of the TPM whose SRK is ekSRK.
	ekHash []byte
	ekSRK  tpm2.TPM2BName
}

// An object is something loaded in the TPM.
type object struct {
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
	public tpm2.TPMTPublic
	made   *tpm2.CreatePrimaryResponse // of a primary that was made just now
}

// A task is one operation at work. Everything it loads is flushed at its end,
// however it ends.
type task struct {
	*chip
	tpm    transport.TPM
	loaded []tpm2.TPMHandle
}

// run carries out an operation, again where that helps: when the memory of the
// TPM is full, once others had time to flush theirs, and once when an object
// vanished in between. An operation must stand repetition.
func (c *chip) run(ctx context.Context, op func(*task) error) error {
	deadline := time.Now().Add(c.memoryWait)
	reclaimed, renewed := false, false
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		err := c.attempt(ctx, op)
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case isAny(err, memoryCodes):
			if flushErr := c.release(); flushErr != nil {
				return errors.Join(err, flushErr)
			}
			if time.Now().Before(deadline) && pause(ctx.Done(), wait) {
				continue
			}
			if !c.raw || reclaimed {
				return err
			}
			// No program of ours holds objects this long: they belong to one
			// that was killed. The living go on taking their turns.
			reclaimed = true
			deadline = time.Now().Add(c.memoryWait)
			if flushErr := c.flushAll(); flushErr != nil {
				return errors.Join(err, flushErr)
			}
		case isAny(err, staleCodes) && !renewed:
			// The TPM was restarted or cleared, or somebody flushed it.
			renewed = true
			if flushErr := c.release(); flushErr != nil {
				return errors.Join(err, flushErr)
			}
		default:
			return err
		}
	}
}

func (c *chip) attempt(ctx context.Context, op func(*task) error) (err error) {
	watch := &sessionWatch{TPM: c.transport(ctx)}
	t := &task{chip: c, tpm: watch}
	defer func() {
		if errors.Is(err, ErrNoTPM) || errors.Is(err, ErrBusy) {
			// Nobody answers, and to what answers next the handles mean
			// nothing.
			c.srk = nil
			return
		}
		for _, handle := range slices.Concat(t.loaded, watch.pending) {
			err = errors.Join(err, t.flush(handle))
		}
		if c.raw {
			err = errors.Join(err, c.release())
		}
	}()
	return op(t)
}

func (c *chip) transport(ctx context.Context) transport.TPM {
	return &patient{send: c.wire.send, done: ctx.Done(), start: c.raw}
}

// release flushes the SRK if it is loaded.
func (c *chip) release() error {
	if c.srk == nil {
		return nil
	}
	handle := c.srk.handle
	c.srk = nil
	return (&task{chip: c, tpm: c.transport(context.Background())}).flush(handle)
}

// flushAll empties the TPM of transient objects and sessions, whosever they are.
func (c *chip) flushAll() error {
	t := &task{chip: c, tpm: c.transport(context.Background())}
	for _, first := range []uint32{transientFirst, sessionFirst} {
		handles, err := t.handles(first, maxHandles)
		if err != nil {
			return err
		}
		for _, handle := range handles {
			if err := t.flush(handle); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush unloads an object or session. That it is gone is no error.
func (t *task) flush(handle tpm2.TPMHandle) error {
	_, err := tpm2.FlushContext{FlushHandle: handle}.Execute(t.tpm)
	if isAny(err, staleCodes) {
		return nil
	}
	return err
}

// unload flushes an object before the end of the task. A persistent one stays.
func (t *task) unload(o *object) error {
	if !slices.Contains(t.loaded, o.handle) {
		return nil
	}
	t.disown(o)
	return t.flush(o.handle)
}

// disown takes an object off the list of what the task flushes.
func (t *task) disown(o *object) {
	t.loaded = slices.DeleteFunc(t.loaded, func(h tpm2.TPMHandle) bool { return h == o.handle })
}

// First handles of what can be listed, TPM 2.0 Part 2 section 7.2.
const (
	sessionFirst   = 0x02000000 // loaded sessions of any type
	transientFirst = 0x80000000

	maxHandles = 64 // that are asked for at once
)

// handles lists the handles in use from first on, at most count, of first's
// kind. Part 3 section 30.2 keeps a list from going over to the next kind.
func (t *task) handles(first, count uint32) ([]tpm2.TPMHandle, error) {
	rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: first, PropertyCount: count}.Execute(t.tpm)
	if err != nil {
		return nil, err
	}
	list, err := rsp.CapabilityData.Data.Handles()
	if err != nil {
		return nil, err
	}
	return list.Handle, nil
}

// root returns the storage root key, made from its template unless it is still
// loaded. It depends on nothing but the owner seed: until the TPM is cleared
// it is always the same key.
func (t *task) root() (*object, error) {
	if t.srk != nil {
		return t.srk, nil
	}
	o, err := t.primary(tpm2.TPMRHOwner, tpm2.PasswordAuth(nil), srkTemplate, nil)
	if err != nil {
		return nil, err
	}
	t.disown(o)
	t.srk = o
	return o, nil
}

// endorsement returns the hash that tells this TPM from all others: SHA-256 of
// the public area of its RSA-2048 endorsement key. It is nil where the
// endorsement hierarchy is closed to us.
func (t *task) endorsement() ([]byte, error) {
	srk, err := t.root()
	if err != nil {
		return nil, err
	}
	if t.ekHash != nil && sameName(srk.name, t.ekSRK) {
		return t.ekHash, nil
	}
	ek, err := t.endorsementKey()
	if denied(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(tpm2.Marshal(ek.public))
	t.ekHash, t.ekSRK = hash[:], srk.name
	return t.ekHash, t.unload(ek)
}

// primary makes a key that is derived from the seed of a hierarchy. It stays
// loaded: unload it, or leave that to the end of the task.
func (t *task) primary(hierarchy tpm2.TPMHandle, auth tpm2.Session, template tpm2.TPMTPublic, userAuth []byte) (*object, error) {
	rsp, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: hierarchy, Auth: auth},
		InSensitive:   sensitive(userAuth),
		InPublic:      tpm2.New2B(template),
	}.Execute(t.tpm)
	if err != nil {
		return nil, hierarchyError(err)
	}
	t.loaded = append(t.loaded, rsp.ObjectHandle)
	o, err := newObject(rsp.ObjectHandle, rsp.OutPublic)
	if err != nil {
		return nil, err
	}
	o.made = rsp
	return o, nil
}
