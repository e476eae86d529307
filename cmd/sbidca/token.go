package main

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
)

type tokenCmd struct{}

// Run prints a token and its hash. The register has the hash only, so that who
// reads it cannot enrol.
func (*tokenCmd) Run(to *console) error {
	token := rand.Text()
	_, err := fmt.Fprintf(to.out, "for the operator, once:         %s\nfor the device in the register: \"token\": \"%x\"\n",
		token, sha256.Sum256([]byte(token)))
	return err
}
