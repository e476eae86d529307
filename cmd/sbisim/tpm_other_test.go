//go:build !unix

package main

import "testing"

// inTPM would keep the signing keys in a software TPM, which is to be had on Unix.
func inTPM(testing.TB) []string { return nil }
