package encryption

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sbid/attest"
)

func mustNew(t testing.TB, o Options) *Source {
	t.Helper()
	if o.Log == nil {
		o.Log, _ = logTo()
	}
	s, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// want checks what the source answers now.
func want(t testing.TB, s *Source, cert *x509.Certificate) {
	t.Helper()
	if got, err := s.Certificate(); err != nil || !got.Equal(cert) {
		t.Errorf("got %v, %v, want serial number %v", got, err, cert.SerialNumber)
	}
}

// wantNone checks that there is no certificate, and what a person is told.
func wantNone(t testing.TB, s *Source, texts ...string) {
	t.Helper()
	cert, err := s.Certificate()
	if cert != nil || !errors.Is(err, attest.ErrNoEncryptionCertificate) || errors.Is(err, attest.ErrExpired) {
		t.Errorf("got one: %t, %v", cert != nil, err)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q is not in %q", text, err)
		}
	}
}

// start runs the source until the test is over.
func start(t *testing.T, s *Source) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	synctest.Wait()
	return func() { cancel(); <-done }
}

// An owner answers with what the test has put there.
type owner struct {
	mu      sync.Mutex
	cert    *x509.Certificate
	fault   error
	fetches int
}

func (o *owner) Fetch(context.Context) (*x509.Certificate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fetches++
	return o.cert, o.fault
}

func (o *owner) set(cert *x509.Certificate, fault error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cert, o.fault = cert, fault
}

func (o *owner) fetched() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.fetches
}

func TestSourceFollowsTheOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdopter(t, time.Now())
		first := a.issue(t, time.Now(), nil)
		at := &owner{cert: first}
		s := mustNew(t, Options{Name: "Staging", Pin: a.pin(), Fetcher: at})
		wantNone(t, s, "Staging", "not fetched yet")
		stop := start(t, s)
		defer stop()
		want(t, s, first)
		time.Sleep(12*time.Hour - time.Second) // fake time
		if n := at.fetched(); n != 1 {
			t.Errorf("%d fetches in half a day", n)
		}
		time.Sleep(12*time.Hour + time.Second)
		if n := at.fetched(); n < 2 || n > 3 {
			t.Errorf("%d fetches in a day", n)
		}
		// The next one comes long before the first expires, and is used at once.
		second := a.issue(t, time.Now(), nil)
		at.set(second, nil)
		time.Sleep(24 * time.Hour)
		want(t, s, second)
		// Trouble does not touch what is there, until that expires.
		at.set(nil, errors.New("no route: check the network"))
		time.Sleep(20 * 24 * time.Hour)
		want(t, s, second)
		time.Sleep(20 * 24 * time.Hour)
		wantNone(t, s, "expired", "no route: check the network")
		// And then a new one is not waited for longer than an hour.
		third := a.issue(t, time.Now(), nil)
		at.set(third, nil)
		time.Sleep(time.Hour)
		want(t, s, third)
		// The owner has nothing newer, and says so.
		time.Sleep(29*24*time.Hour + 23*time.Hour + time.Minute)
		wantNone(t, s, "expired")
	})
}

func TestSourceBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetches := 0
		var last, shortest, longest time.Duration
		begin := time.Now()
		log, messages := logTo()
		s := mustNew(t, Options{Log: log, Pin: Pin{Thumbprints: []string{"00"}}, Fetcher: fetcher(func(context.Context) (*x509.Certificate, error) {
			fetches++
			now := time.Since(begin)
			if pause := now - last; fetches > 1 {
				if shortest == 0 || pause < shortest {
					shortest = pause
				}
				longest = max(longest, pause)
			}
			last = now
			return nil, errors.New("down")
		})})
		stop := start(t, s)
		time.Sleep(24 * time.Hour)
		stop()
		if fetches < 24 || fetches > 60 || shortest < 30*time.Second || longest > time.Hour {
			t.Errorf("%d fetches, pauses from %v to %v", fetches, shortest, longest)
		}
		if n := strings.Count(messages.String(), "level="); n != 1 {
			t.Errorf("%d messages of one trouble", n)
		}
	})
}

// A certificate with a short life is looked after more often.
func TestSourceBeforeExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdopter(t, time.Now())
		gaps := 0
		s := mustNew(t, Options{Pin: a.pin(), Fetcher: fetcher(func(context.Context) (*x509.Certificate, error) {
			return a.issue(t, time.Now(), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(4 * time.Hour) }), nil
		})})
		stop := start(t, s)
		defer stop()
		for range 100 {
			time.Sleep(time.Hour)
			if _, err := s.Certificate(); err != nil {
				gaps++
			}
		}
		if gaps != 0 {
			t.Errorf("without a certificate %d times", gaps)
		}
	})
}

func TestSourceAsksWithinATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustNew(t, Options{Pin: Pin{Thumbprints: []string{"00"}}, Fetcher: fetcher(func(ctx context.Context) (*x509.Certificate, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})})
		stop := start(t, s)
		wantNone(t, s, "not fetched yet") // and does not wait for it
		time.Sleep(fetchWithin)
		synctest.Wait()
		wantNone(t, s, context.DeadlineExceeded.Error())
		stop()
	})
}

func TestSourceRefuses(t *testing.T) {
	now := time.Now()
	a := newAdopter(t, now)
	stranger := certificate(t, "stranger", otherKey(), otherKey(), nil, now, nil)
	impostor := certificate(t, "keymanager", otherKey(), otherKey(), nil, now, nil)
	for name, test := range map[string]struct {
		cert *x509.Certificate
		want string
	}{
		"expired":          {a.issue(t, now.AddDate(-1, 0, 0), nil), "expired"},
		"of the future":    {a.issue(t, now.AddDate(1, 0, 0), nil), "not yet valid"},
		"no RSA":           {a.issue(t, now, elliptic256), "not RSA"},
		"another issuer's": {certificate(t, "IDA-FIR", adopterKey(), otherKey(), stranger, now, nil), "check the reference id"},
		"an impostor's":    {certificate(t, "IDA-FIR", adopterKey(), otherKey(), impostor, now, nil), "check the reference id"},
	} {
		s := mustNew(t, Options{Pin: a.pin(), Fetcher: fetcher(func(context.Context) (*x509.Certificate, error) { return test.cert, nil })})
		if s.refresh(t.Context()) {
			t.Errorf("%s: taken", name)
		}
		wantNone(t, s, test.want)
	}
}

func TestPinByThumbprint(t *testing.T) {
	a := newAdopter(t, time.Now())
	cert, other := a.issue(t, time.Now(), nil), a.issue(t, time.Now(), nil)
	thumbprint := attest.Thumbprint(cert)
	for _, text := range []string{thumbprint, strings.ToLower(thumbprint), thumbprint[:2] + ":" + thumbprint[2:]} {
		pin := Pin{Thumbprints: []string{"00", text}}
		if err := pin.check(cert); err != nil {
			t.Error(err)
		}
		if err := pin.check(other); !errors.Is(err, attest.ErrUntrusted) || !strings.Contains(err.Error(), attest.Thumbprint(other)) {
			t.Error(err)
		}
	}
	if _, err := New(t.Context(), Options{Fetcher: KeyManager{}}); err == nil || !strings.Contains(err.Error(), "thumbprint") {
		t.Errorf("a key manager without a pin: %v", err)
	}
}

// After a restart without a network, both certificates are still there.
func TestSourceRemembers(t *testing.T) {
	now := time.Now()
	a := newAdopter(t, now)
	previous := a.issue(t, now, nil)
	current := a.issue(t, now, func(c *x509.Certificate) { c.NotAfter = now.Add(time.Hour) })
	next := previous
	o := Options{Pin: a.pin(), Cache: filepath.Join(t.TempDir(), "encryption.pem"), Fetcher: fetcher(func(context.Context) (*x509.Certificate, error) { return next, nil })}
	s := mustNew(t, o)
	s.refresh(t.Context())
	next = current
	s.refresh(t.Context())
	s.refresh(t.Context())

	o.Fetcher = fetcher(func(context.Context) (*x509.Certificate, error) { return nil, errors.New("no network") })
	s = mustNew(t, o)
	s.refresh(t.Context())
	want(t, s, current)
	o.Now = func() time.Time { return now.Add(2 * time.Hour) }
	want(t, mustNew(t, o), previous)
	o.Now = func() time.Time { return now.AddDate(1, 0, 0) }
	wantNone(t, mustNew(t, o), "expired", "not fetched yet")
	o.Now = nil

	// Not what the pin does not allow any more, and nothing damaged.
	log, messages := logTo()
	o.Log, o.Pin = log, Pin{Thumbprints: []string{attest.Thumbprint(previous)}}
	want(t, mustNew(t, o), previous)
	if !strings.Contains(messages.String(), "is not used") {
		t.Errorf("%s", messages)
	}
	if err := os.WriteFile(o.Cache, []byte("-----BEGIN"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantNone(t, mustNew(t, o), "not fetched yet")
	// A cache that cannot be written is no reason to be without.
	o.Cache = filepath.Join(t.TempDir(), "absent", "encryption.pem")
	o.Fetcher = fetcher(func(context.Context) (*x509.Certificate, error) { return previous, nil })
	s = mustNew(t, o)
	s.refresh(t.Context())
	want(t, s, previous)
	if !strings.Contains(messages.String(), "forgotten") {
		t.Errorf("%s", messages)
	}
}

// A file is there from the start, and is followed when it changes.
func TestFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		a := newAdopter(t, now)
		short := func(c *x509.Certificate) { c.NotAfter = now.Add(2 * time.Hour) }
		first, second := a.issue(t, now, short), a.issue(t, now, short)
		path := writeFile(t, pemOf(first))
		log, messages := logTo()
		s := mustNew(t, Options{Fetcher: File(path), Log: log})
		want(t, s, first)
		stop := start(t, s)
		defer stop()
		if err := os.WriteFile(path, []byte(pemOf(second)), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		want(t, s, second)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		want(t, s, second)
		if n := strings.Count(messages.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings: %s", n, messages)
		}
		time.Sleep(time.Hour)
		wantNone(t, s, "expired", path)
	})
	wantNone(t, mustNew(t, Options{Fetcher: File(filepath.Join(t.TempDir(), "absent.pem"))}), "absent.pem")
}
