//go:build unix

package tpm

import (
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

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

// keepEndorsementKey puts the endorsement key where manufacturers keep it.
func (s *softTPM) keepEndorsementKey(t testing.TB) {
	t.Helper()
	task := s.task()
	ek, err := task.primary(tpm2.TPMRHEndorsement, tpm2.PasswordAuth(nil), tpm2.RSAEKTemplate, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(task.evictControl(ek, ekHandle), task.unload(ek)); err != nil {
		t.Fatal(err)
	}
}
