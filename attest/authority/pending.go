package authority

import (
	"crypto/rsa"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"sbid/attest/internal/akcert"
)

const (
	// pendingTime is how long a TPM may take to open a secret. Those of a chip
	// take seconds.
	pendingTime = 5 * time.Minute
	// maxPending is how many secrets one TPM may have open: its endorsement key
	// is no secret, and who knows it can ask in its name.
	maxPending = 8
)

// A candidate is an attestation key that will be certified when its TPM brings
// the secret back.
type candidate struct {
	ek      string   // hash of the endorsement key
	devices []string // serial numbers that the register has for it
	key     *rsa.PublicKey
	names   akcert.Names // of the TPM
	expires time.Time
}

// pending are the candidates by the SHA-256 of their secrets. Looking up a
// hash takes a time that says nothing about the secret.
type pending struct {
	mu   sync.Mutex
	list map[[sha256.Size]byte]candidate
}

func (p *pending) add(secret []byte, c candidate) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, same := time.Now(), 0
	for hash, other := range p.list {
		switch {
		case !now.Before(other.expires):
			delete(p.list, hash)
		case other.ek == c.ek:
			same++
		}
	}
	if same >= maxPending {
		return refuse(http.StatusTooManyRequests, "%d attestations of this TPM are under way: try again in %s", same, pendingTime)
	}
	if p.list == nil {
		p.list = map[[sha256.Size]byte]candidate{}
	}
	c.expires = now.Add(pendingTime)
	p.list[sha256.Sum256(secret)] = c
	return nil
}

// take returns the candidate of a secret, once.
func (p *pending) take(secret []byte) (candidate, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	hash := sha256.Sum256(secret)
	c, ok := p.list[hash]
	delete(p.list, hash)
	return c, ok && time.Now().Before(c.expires)
}
