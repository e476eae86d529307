//go:build unix

package tpm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// A manufacturer issues certificates for endorsement keys: a root and an
// authority below it.
type manufacturer struct {
	root, authority *x509.Certificate
	key             crypto.Signer // the authority's
}

func newManufacturer(t testing.TB) *manufacturer {
	t.Helper()
	issue := func(name string, parent *x509.Certificate, by crypto.Signer) (*x509.Certificate, crypto.Signer) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
		if parent == nil {
			parent, by = template, key
		}
		return certificate(t, template, parent, key.Public(), by), key
	}
	root, rootKey := issue("Chips root", nil, nil)
	authority, key := issue("Chips authority", root, rootKey)
	return &manufacturer{root, authority, key}
}

func certificate(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// endorse issues a certificate as manufacturers do: nothing in the subject,
// the TPM's product in a critical alternative name that Go does not know.
func (m *manufacturer) endorse(t testing.TB, ek crypto.PublicKey) *x509.Certificate {
	t.Helper()
	name, err := asn1.Marshal(pkix.RDNSequence{{
		{Type: asn1.ObjectIdentifier{2, 23, 133, 2, 1}, Value: "id:49424D00"},
		{Type: asn1.ObjectIdentifier{2, 23, 133, 2, 2}, Value: "SW   TPM"},
		{Type: asn1.ObjectIdentifier{2, 23, 133, 2, 3}, Value: "id:20191023"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	directory, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: name})
	if err != nil {
		t.Fatal(err)
	}
	san, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: directory})
	if err != nil {
		t.Fatal(err)
	}
	return certificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(2),
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:              x509.KeyUsageKeyEncipherment,
		UnknownExtKeyUsage:    []asn1.ObjectIdentifier{{2, 23, 133, 8, 1}},
		BasicConstraintsValid: true,
		ExtraExtensions:       []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: san}},
	}, m.authority, ek, m.key)
}

// defineNV defines an index that everybody may read, and writes it.
func (s *softTPM) defineNV(t testing.TB, index tpm2.TPMHandle, contents []byte) {
	t.Helper()
	task := s.task()
	public := tpm2.TPMSNVPublic{
		NVIndex: index, NameAlg: tpm2.TPMAlgSHA256, DataSize: uint16(len(contents)),
		Attributes: tpm2.TPMANV{OwnerWrite: true, OwnerRead: true, AuthRead: true, NoDA: true, NT: tpm2.TPMNTOrdinary},
	}
	owner := tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
	if _, err := (tpm2.NVDefineSpace{AuthHandle: owner, PublicInfo: tpm2.New2B(public)}).Execute(task.tpm); err != nil {
		t.Fatal(err)
	}
	for offset := 0; offset < len(contents); offset += 512 {
		known, err := tpm2.NVReadPublic{NVIndex: index}.Execute(task.tpm)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (tpm2.NVWrite{
			AuthHandle: owner,
			NVIndex:    tpm2.NamedHandle{Handle: index, Name: known.NVName},
			Data:       tpm2.TPM2BMaxNVBuffer{Buffer: contents[offset:min(offset+512, len(contents))]},
			Offset:     uint16(offset),
		}).Execute(task.tpm); err != nil {
			t.Fatal(err)
		}
	}
}

// setAuth gives a hierarchy a password.
func (s *softTPM) setAuth(t testing.TB, hierarchy tpm2.TPMHandle, before, after string) {
	t.Helper()
	_, err := tpm2.HierarchyChangeAuth{
		AuthHandle: tpm2.AuthHandle{Handle: hierarchy, Auth: tpm2.PasswordAuth([]byte(before))},
		NewAuth:    tpm2.TPM2BAuth{Buffer: []byte(after)},
	}.Execute(s.task().tpm)
	if err != nil {
		t.Fatal(err)
	}
}

// evictAll empties the range where primaries are kept.
func (s *softTPM) evictAll(t testing.TB) {
	t.Helper()
	task := s.task()
	handles, err := task.persistentHandles()
	if err != nil {
		t.Fatal(err)
	}
	for _, handle := range handles {
		rsp, err := tpm2.ReadPublic{ObjectHandle: handle}.Execute(task.tpm)
		if err != nil {
			t.Fatal(err)
		}
		if err := task.evictControl(&object{handle: handle, name: rsp.Name}, handle); err != nil {
			t.Fatal(err)
		}
	}
}
