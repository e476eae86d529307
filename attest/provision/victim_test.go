package provision

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"testing"
)

// victimKeys names a file with the keys of the process that started this one:
// certificates of the one must be good for the other.
const victimKeys = "PROVISION_TEST_KEYS"

func readKeys(path string) (keys []*rsa.PrivateKey) {
	rest, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	for len(rest) > 0 {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			panic(err)
		}
		keys = append(keys, key)
	}
	return keys
}

func writeKeys(t testing.TB, path string) string {
	t.Helper()
	var text []byte
	for _, key := range testKeys() {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})...)
	}
	return put(t, path, text)
}
