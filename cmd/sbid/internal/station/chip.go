package station

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rsa"
	"fmt"

	"sbid/attest"
	"sbid/attest/tpm"
)

// A chip is the key store in the machine's TPM, opened when it is first needed
// and tried again for as long as there is none: a kiosk may be started before
// its TPM is switched on, and says so meanwhile.
type chip struct {
	config tpm.Config

	turn  chan struct{} // holds one token; who put it there owns store
	store *tpm.Store
}

func newChip(c tpm.Config) *chip { return &chip{config: c, turn: make(chan struct{}, 1)} }

var _ attest.KeyStore = (*chip)(nil)

func (c *chip) open(ctx context.Context) (*tpm.Store, error) {
	select { // a TPM that hangs holds up nobody longer than he wants to wait
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-c.turn }()
	if c.store == nil {
		store, err := tpm.Open(ctx, c.config)
		if err != nil {
			return nil, err
		}
		c.store = store
	}
	return c.store, nil
}

// where names the TPM's device.
func (c *chip) where() string { return cmp.Or(c.config.Device, tpm.DefaultDevice) }

// close is for the end: keys of the chip do not sign any more.
func (c *chip) close() error {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	if c.store == nil {
		return nil
	}
	return c.store.Close()
}

// use opens the TPM and does something in it.
func use[T any](ctx context.Context, c *chip, do func(*tpm.Store) (T, error)) (T, error) {
	store, err := c.open(ctx)
	if err != nil {
		var none T
		return none, fmt.Errorf("open TPM: %w", err)
	}
	return do(store)
}

// The methods are those of tpm.Store.

func (c *chip) Signer(ctx context.Context, name string) (crypto.Signer, error) {
	return use(ctx, c, func(s *tpm.Store) (crypto.Signer, error) { return s.Signer(ctx, name) })
}

func (c *chip) Create(ctx context.Context, name string) (crypto.Signer, error) {
	return use(ctx, c, func(s *tpm.Store) (crypto.Signer, error) { return s.Create(ctx, name) })
}

func (c *chip) Delete(ctx context.Context, name string) error {
	_, err := use(ctx, c, func(s *tpm.Store) (struct{}, error) { return struct{}{}, s.Delete(ctx, name) })
	return err
}

func (c *chip) List(ctx context.Context) ([]string, error) {
	return use(ctx, c, func(s *tpm.Store) ([]string, error) { return s.List(ctx) })
}

func (c *chip) Import(ctx context.Context, name string, key *rsa.PrivateKey) (crypto.Signer, error) {
	return use(ctx, c, func(s *tpm.Store) (crypto.Signer, error) { return s.Import(ctx, name, key) })
}

func (c *chip) Origin(ctx context.Context, name string) (tpm.Origin, error) {
	return use(ctx, c, func(s *tpm.Store) (tpm.Origin, error) { return s.Origin(name) })
}

func (c *chip) Info(ctx context.Context) (tpm.Info, error) {
	return use(ctx, c, func(s *tpm.Store) (tpm.Info, error) { return s.Info(ctx) })
}

func (c *chip) Endorsement(ctx context.Context) (tpm.Endorsement, error) {
	return use(ctx, c, func(s *tpm.Store) (tpm.Endorsement, error) { return s.Endorsement(ctx) })
}

func (c *chip) AttestationKey(ctx context.Context) (tpm.AttestationKey, error) {
	return use(ctx, c, func(s *tpm.Store) (tpm.AttestationKey, error) { return s.AttestationKey(ctx) })
}

func (c *chip) Activate(ctx context.Context, credential, secret []byte) ([]byte, error) {
	return use(ctx, c, func(s *tpm.Store) ([]byte, error) { return s.Activate(ctx, credential, secret) })
}

func (c *chip) Certify(ctx context.Context, key string, qualifying []byte) (tpm.Statement, error) {
	return use(ctx, c, func(s *tpm.Store) (tpm.Statement, error) { return s.Certify(ctx, key, qualifying) })
}

func (c *chip) Quote(ctx context.Context, pcrs []int, qualifying []byte) (tpm.Quote, error) {
	return use(ctx, c, func(s *tpm.Store) (tpm.Quote, error) { return s.Quote(ctx, pcrs, qualifying) })
}

func (c *chip) IncrementCounter(ctx context.Context) (uint64, error) {
	return use(ctx, c, func(s *tpm.Store) (uint64, error) { return s.IncrementCounter(ctx) })
}

func (c *chip) CertifyCounter(ctx context.Context, qualifying []byte) (tpm.Statement, error) {
	return use(ctx, c, func(s *tpm.Store) (tpm.Statement, error) { return s.CertifyCounter(ctx, qualifying) })
}
