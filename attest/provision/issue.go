package provision

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sbid/attest"
)

// Provision returns the identity of a device, and first makes a key and has it
// certified if the device has no good certificate for its serial number. A
// failure leaves what was there. The FTM key is made if there is none, or if
// the one that there was is lost; then the rest of the old one is destroyed.
func (s *Set) Provision(ctx context.Context, device Device, issuer attest.Issuer) (*attest.Identity, error) {
	if err := device.check(); err != nil {
		return nil, err
	}
	if err := s.begin(ctx); err != nil {
		return nil, fmt.Errorf("provision %s: %w", device.Name, err)
	}
	defer s.changing.Unlock()
	if s.holder(device.Name).current == nil { // the key store may be back
		if err := s.load(ctx, device.Name); err != nil {
			return nil, fmt.Errorf("provision %s: %w", device.Name, err)
		}
	}
	if h := s.holder(device.Name); h.usable(s.config.Now()) == nil && h.current.record.Serial == device.Serial {
		return h.current.identity, nil
	}
	identity, err := s.renew(ctx, device, issuer)
	if err != nil {
		return nil, fmt.Errorf("provision %s: %w", device.Name, err)
	}
	return identity, nil
}

// Rotate gives a device a new key and certificate; the FTM key only gets a new
// certificate. From its return on Device gives the new identity. An old one
// that was asked for earlier goes on working: call Retire when nobody uses it
// any more. A failure leaves the old one in use. A device key that is lost is
// replaced, too; an FTM key that is lost only Provision replaces.
func (s *Set) Rotate(ctx context.Context, name string, issuer attest.Issuer) (*attest.Identity, error) {
	if err := s.begin(ctx); err != nil {
		return nil, fmt.Errorf("rotate key of %s: %w", name, err)
	}
	defer s.changing.Unlock()
	h := s.holder(name)
	if h.current == nil && (name == FTM || h.latest.Name == "") {
		return nil, fmt.Errorf("rotate key of %s: %w", name, h.usable(s.config.Now()))
	}
	identity, err := s.renew(ctx, Device{name, h.latest.Serial}, issuer)
	if err != nil {
		return nil, fmt.Errorf("rotate key of %s: %w", name, err)
	}
	return identity, nil
}

// Retire destroys the keys of a device before its current one. A few of their
// certificates are kept. The next Open does the same.
func (s *Set) Retire(ctx context.Context, name string) error {
	err := s.begin(ctx)
	if err == nil {
		defer s.changing.Unlock()
		err = s.retire(ctx, name)
	}
	if err != nil {
		return fmt.Errorf("destroy old keys of %s: %w", name, err)
	}
	return nil
}

// renew makes the next generation of a device.
func (s *Set) renew(ctx context.Context, device Device, issuer attest.Issuer) (*attest.Identity, error) {
	s.tidy(ctx, device.Name)
	r, signer, err := s.newKey(ctx, device)
	if err != nil {
		return nil, err
	}
	var identity *attest.Identity
	chain, err := issuer.Issue(ctx, s.request(r, signer))
	if err == nil {
		identity, err = s.adopt(r, signer, chain)
	}
	if err != nil {
		s.changed(r.about(Refused, err))
		return nil, errors.Join(fmt.Errorf("get certificate: %w", err), s.abandon(ctx, r.Name, r.Generation))
	}
	return identity, nil
}

func (s *Set) request(r record, signer crypto.Signer) attest.CertificateRequest {
	return attest.CertificateRequest{
		Key:          r.key(),
		Signer:       signer,
		Domain:       domainOf(r.Name),
		Serial:       r.Serial,
		Organisation: r.Organisation,
		Country:      r.Country,
	}
}

// newRecord begins the next generation of a device: it returns its record,
// which it has written.
func (s *Set) newRecord(ctx context.Context, device Device, origin Origin) (record, error) {
	number, err := s.next(ctx, device.Name)
	if err != nil {
		return record{}, err
	}
	r := record{
		Name:         device.Name,
		Generation:   number,
		Serial:       device.Serial,
		Organisation: s.organisation(device.Name),
		Country:      s.config.Country,
		Origin:       origin,
		Made:         s.config.Now().UTC().Truncate(time.Second),
	}
	return r, s.write(r)
}

// next returns the number after those of all generations and keys of a device.
func (s *Set) next(ctx context.Context, name string) (int, error) {
	files, err := s.list()
	if err != nil {
		return 0, err
	}
	numbers := files[name]
	keys, err := s.config.Keys.List(ctx)
	if err != nil {
		return 0, err
	}
	for _, key := range keys {
		text, ok := strings.CutPrefix(key, "device."+name+".")
		if n, err := strconv.Atoi(text); ok && err == nil {
			numbers = append(numbers, n)
		}
	}
	highest := slices.Max(append(numbers, 0))
	if highest >= maxNumber {
		return 0, fmt.Errorf("%s has had %d keys, there can be no more", name, highest)
	}
	return highest + 1, nil
}

// newKey begins a generation and makes its key.
func (s *Set) newKey(ctx context.Context, device Device) (record, crypto.Signer, error) {
	r, err := s.newRecord(ctx, device, Made)
	if err != nil {
		return record{}, nil, err
	}
	var signer crypto.Signer
	if device.Name == FTM {
		signer, err = s.ftmKey(ctx, &r)
	} else if signer, err = s.config.Keys.Create(ctx, r.key()); err == nil {
		s.changed(r.about(KeyMade, nil))
	}
	if err != nil {
		return record{}, nil, errors.Join(err, s.abandon(ctx, r.Name, r.Generation))
	}
	return r, signer, nil
}

// ftmKey returns the FTM key, and makes it if there is none that can be used.
func (s *Set) ftmKey(ctx context.Context, r *record) (crypto.Signer, error) {
	signer, err := s.config.Keys.Signer(ctx, FTM)
	if err == nil {
		if was := s.holder(FTM).latest; was.Name != "" {
			r.Made = was.Made
		}
		return signer, nil
	}
	if errors.Is(err, attest.ErrKeyLost) {
		if err := s.config.Keys.Delete(ctx, FTM); err != nil {
			return nil, err
		}
		s.changed(r.about(KeyDestroyed, nil))
		err = attest.ErrNoKey
	}
	if !errors.Is(err, attest.ErrNoKey) {
		return nil, err
	}
	if signer, err = s.config.Keys.Create(ctx, FTM); err == nil {
		s.changed(r.about(KeyMade, nil))
	}
	return signer, err
}

// trial is what a key signs before it counts as one that can be used.
var trial = []byte("trial of a key")

func try(identity *attest.Identity) error {
	token, err := identity.Sign(trial)
	if err == nil {
		_, err = attest.Verify(token)
	}
	if err != nil {
		return fmt.Errorf("try the key: %w", err)
	}
	return nil
}

// adopt takes certificates for a generation, checks them and the key, and puts
// it in use.
func (s *Set) adopt(r record, signer crypto.Signer, certs []*x509.Certificate) (*attest.Identity, error) {
	identity, chain, err := s.check(r, signer, certs)
	if err != nil {
		return nil, err
	}
	if err := try(identity); err != nil {
		return nil, err
	}
	for _, c := range chain {
		r.X5C = append(r.X5C, c.Raw)
	}
	if err := s.write(r); err != nil {
		return nil, err
	}
	s.setHolder(r.Name, holder{current: &generation{r, identity}, latest: r})
	e := r.about(InUse, nil)
	e.Thumbprint = attest.Thumbprint(chain[0])
	s.changed(e)
	return identity, nil
}

// check returns the identity of a key and those of certs that belong to it, if
// it may be used now.
func (s *Set) check(r record, signer crypto.Signer, certs []*x509.Certificate) (*attest.Identity, []*x509.Certificate, error) {
	chain, err := arrange(signer.Public(), certs)
	if err != nil {
		return nil, nil, err
	}
	isAuthority := func(c *x509.Certificate) bool { return c.IsCA }
	if s.config.Trust == nil && len(chain) == 1 && slices.ContainsFunc(certs, isAuthority) {
		return nil, nil, fmt.Errorf("%w: none of the authorities that came with it issued it", attest.ErrUntrusted)
	}
	now := s.config.Now()
	if err := checkTime(chain[0], now); err != nil {
		return nil, nil, err
	}
	identity, err := s.identify(r, signer, chain, now)
	return identity, chain, err
}
