package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"

	"sbid/attest"
	"sbid/attest/authority"
)

type runCmd struct {
	Listen string `default:"127.0.0.1:4600" placeholder:"HOST:PORT" help:"Where to serve. Port 0: any that is free. Default: ${default}."`

	TLSCertificate string `name:"tls-certificate" required:"" placeholder:"FILE" type:"existingfile" help:"Certificate of this server, with those of its authorities, in PEM."`
	TLSKey         string `name:"tls-key" required:"" placeholder:"FILE" type:"existingfile" help:"Its key, in PEM."`

	Certificate string `required:"" placeholder:"FILE" type:"existingfile" help:"Certificate that issues those of attestation keys, with those of its authorities, in PEM. Use its root for nothing else."`
	Key         string `required:"" placeholder:"FILE" type:"existingfile" help:"Its key, in PEM."`

	EndorsementRoots string `placeholder:"FILE" type:"existingfile" help:"Roots of the TPM manufacturers whose endorsement certificates count, in PEM. Without it every TPM must be in the register by the hash of its endorsement key."`
	Register         string `required:"" placeholder:"FILE" type:"existingfile" help:"Register of devices, JSON. Read again when it changes; the TPM of a device is filled in at first use."`

	WebhookSecret string `placeholder:"FILE" type:"existingfile" help:"File with the secret that step-ca signs its webhooks with."`
	WebhookRoots  string `placeholder:"FILE" type:"existingfile" help:"Roots of the TLS client certificate that step-ca shows, in PEM: step-ca's own root. For webhooks of step-ca's configuration file, which have no secret."`
}

// How long a client may take. Nothing here takes longer than a signature.
const (
	readTimeout  = 20 * time.Second
	writeTimeout = 20 * time.Second
	idleTimeout  = time.Minute
	stopTimeout  = 5 * time.Second
	maxHeader    = 16 << 10 // bytes
)

// Run serves until ctx ends. Where it listens, it says on stdout.
func (c *runCmd) Run(ctx context.Context, to *console) error {
	log := slog.New(slog.NewTextHandler(to.err, nil))
	handler, err := c.authority(log)
	if err != nil {
		return err
	}
	own, err := loadKeyPair(c.TLSCertificate, c.TLSKey)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{
		Handler: handler,
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{own},
			MinVersion:   tls.VersionTLS12,
			// Who it is from is looked at where it matters, at the webhook.
			ClientAuth: tls.RequestClientCert,
		},
		ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.ServeTLS(listener, "", "") }()
	fmt.Fprintf(to.out, "ready https://%s\n", listener.Addr())
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err = server.Shutdown(stopping)
	if err != nil {
		err = errors.Join(err, server.Close())
	}
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// authority reads what the authority needs.
func (c *runCmd) authority(log *slog.Logger) (http.Handler, error) {
	pair, err := loadKeyPair(c.Certificate, c.Key)
	if err != nil {
		return nil, err
	}
	config := authority.Config{Register: c.Register, Log: log}
	if config.Chain, err = attest.ReadCertificates(c.Certificate); err != nil {
		return nil, err
	}
	config.Key = pair.PrivateKey.(crypto.Signer)
	if config.EndorsementRoots, err = optional(c.EndorsementRoots); err != nil {
		return nil, err
	}
	if config.WebhookClients, err = optional(c.WebhookRoots); err != nil {
		return nil, err
	}
	if c.WebhookSecret != "" {
		if config.WebhookSecret, err = readSecret(c.WebhookSecret); err != nil {
			return nil, err
		}
	}
	return authority.New(config)
}

func optional(path string) ([]*x509.Certificate, error) {
	if path == "" {
		return nil, nil
	}
	return attest.ReadCertificates(path)
}

// loadKeyPair reads a certificate and its key, which others must not be able to
// read.
func loadKeyPair(certificate, key string) (tls.Certificate, error) {
	if err := checkPrivate(key); err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read %s and %s: %w", certificate, key, err)
	}
	if _, ok := pair.PrivateKey.(crypto.Signer); !ok {
		return tls.Certificate{}, fmt.Errorf("read %s: %T cannot sign", key, pair.PrivateKey)
	}
	return pair, nil
}

// readSecret reads a secret; white space around it does not matter.
func readSecret(path string) ([]byte, error) {
	if err := checkPrivate(path); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read webhook secret: %w", err)
	}
	secret := bytes.TrimSpace(text)
	if len(secret) < minSecret {
		return nil, fmt.Errorf("read webhook secret %s: %d bytes, expected at least %d", path, len(secret), minSecret)
	}
	return secret, nil
}

const minSecret = 16 // bytes

func checkPrivate(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return fmt.Errorf("read %s: mode %04o lets others in, run chmod 600 on it", path, mode)
	}
	return nil
}
