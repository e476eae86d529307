package station

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sbid/attest"
	"sbid/attest/audit"
	"sbid/attest/provision"
	"sbid/sbi"
)

// openAudit opens the audit log, and writes down what happened before.
func (s *Station) openAudit(ctx context.Context) error {
	var checkpointer audit.Checkpointer
	if s.chip != nil {
		checkpointer = audit.WithTPM(s.chip)
	} else {
		signer, err := s.keys.Signer(ctx, auditKey)
		if errors.Is(err, attest.ErrNoKey) {
			signer, err = s.keys.Create(ctx, auditKey)
		}
		if err != nil {
			return fmt.Errorf("key of the audit log: %w", err)
		}
		checkpointer = audit.WithSignature(signer)
	}
	log, err := audit.Open(audit.Options{
		Dir: filepath.Join(s.config.State, "audit"), Checkpointer: checkpointer,
		MaxFile: s.config.Audit.MaxFile, MaxFiles: s.config.Audit.MaxFiles, Log: s.log,
	})
	if errors.Is(err, ErrInUse) {
		return err
	}
	if err != nil { // whoever could end the service by way of the log would do so
		s.log.Error("there is no audit log", "err", err)
		s.deaf, s.early = err, nil
		return nil
	}
	s.mu.Lock()
	early := s.early
	s.audit, s.early = log, nil
	s.mu.Unlock()
	s.record(early...)
	return nil
}

// auditKey signs checkpoints where there is no TPM.
const auditKey = "audit"

// record writes to the audit log. A disk that takes nothing does not stop the
// service: the log keeps what it can and says so.
func (s *Station) record(events ...audit.Event) {
	s.mu.Lock()
	log := s.audit
	if log == nil && s.deaf == nil {
		s.early = append(s.early, events...)
	}
	s.mu.Unlock()
	if log == nil || len(events) == 0 {
		return
	}
	if err := log.Append(events...); err != nil && !errors.Is(err, audit.ErrKept) { // kept is logged once by the log
		s.log.Error("not in the audit log", "kind", string(events[0].Kind), "err", err)
	}
}

// keyChanged is told what happens to keys.
func (s *Station) keyChanged(e provision.Event) {
	kind, ok := map[provision.Kind]audit.Kind{
		provision.KeyMade: audit.Provision, provision.KeyImported: audit.Provision, provision.Requested: audit.Provision,
		provision.InUse: audit.Rotate, provision.Refused: audit.Refusal, provision.Unusable: audit.Refusal,
		provision.KeyDestroyed: audit.Retire, provision.LeftBehind: audit.Retire,
	}[e.Kind]
	if !ok || e.Kind == provision.InUse && strings.HasSuffix(e.Key, ".1") { // the first of all
		kind = audit.Provision
	}
	detail := string(e.Kind)
	if e.Key != "" {
		detail += " " + e.Key
	}
	if e.Thumbprint != "" {
		detail += " certificate " + e.Thumbprint
	}
	if e.Err != nil {
		detail += ": " + e.Err.Error()
		s.log.Warn("key trouble", "what", string(e.Kind), "device", e.Name, "key", e.Key, "err", e.Err)
	} else {
		s.log.Info("key", "what", string(e.Kind), "device", e.Name, "key", e.Key)
	}
	s.record(audit.Event{Kind: kind, Device: e.Serial, Detail: detail})
}

// captured is told of every capture.
func (s *Station) captured(r sbi.Report) {
	e := audit.Event{
		Kind: audit.Capture, Device: r.Serial, Transaction: r.TransactionID, Positions: r.Positions,
		Outcome: r.Code.String(), Detail: string(r.Purpose),
	}
	if !r.Begun {
		e.Kind = audit.Refusal
	}
	for _, score := range r.Scores {
		if f, err := strconv.ParseFloat(score, 64); err == nil {
			e.Scores = append(e.Scores, f)
		}
	}
	if e.Kind == audit.Capture {
		s.record(e)
		return
	}
	ok, left := s.refusals.allow(time.Now())
	if left > 0 {
		s.record(audit.Event{Kind: audit.Refusal, Detail: fmt.Sprintf("%d more of one minute", left)})
	}
	if ok {
		s.record(e)
	}
}

// configurationFile holds what the configuration was at the last start.
const configurationFile = "configuration"

// recordConfiguration writes down that the configuration is not what it was. It
// names it by a digest: it has no secrets, but nothing is gained by a copy.
func (s *Station) recordConfiguration() {
	text, err := json.Marshal(s.config)
	if err != nil {
		s.log.Error("bug: the configuration does not marshal", "err", err)
		return
	}
	sum := sha256.Sum256(text)
	digest := hex.EncodeToString(sum[:])
	path := filepath.Join(s.config.State, configurationFile)
	before, err := os.ReadFile(path)
	if err == nil && string(before) == digest {
		return
	}
	detail := "SHA-256 " + digest
	if err == nil {
		detail += ", was " + string(before)
	}
	s.record(audit.Event{Kind: audit.Configuration, Detail: detail})
	if err := os.WriteFile(path, []byte(digest), 0o600); err != nil {
		s.log.Warn("the configuration will be written down again at the next start", "err", err)
	}
}
