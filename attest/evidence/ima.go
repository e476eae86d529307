package evidence

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // what Linux has in its list; nothing relies on it
	"crypto/sha256"
	"errors"
	"fmt"
)

const (
	imaPCR = 10

	// oldTemplate is of kernels before 3.13 and has another form.
	oldTemplate = "ima"
)

// replayIMA replays the list of Linux's integrity measurement architecture, as
// in /sys/kernel/security/ima/binary_runtime_measurements: for each entry the
// register, SHA-1 of the template's data, the template's name, and the data.
// Since Linux 5.8 each bank is extended with its own hash of the data.
func replayIMA(data []byte) (value [sha256.Size]byte, entries int, err error) {
	r := &reader{data: data}
	replayed := registers{}
	for r.more() {
		pcr := r.uint32()
		digest, name, template := r.take(sha1.Size), r.sized(), r.sized()
		if r.err != nil {
			break
		}
		entries++
		if pcr != imaPCR || string(name) == oldTemplate {
			return value, entries, fmt.Errorf("entry %d is of register %d and template %q", entries, pcr, name)
		}
		sum := sha256.Sum256(template)
		switch sha := sha1.Sum(template); { //nolint:gosec // as above
		case bytes.Equal(digest, make([]byte, sha1.Size)):
			// A file was written while it was measured: the register is spoilt
			// on purpose.
			replayed.extend(imaPCR, bytes.Repeat([]byte{0xFF}, sha256.Size))
		case !bytes.Equal(digest, sha[:]):
			return value, entries, errors.New("entry's digest is of something else")
		default:
			replayed.extend(imaPCR, sum[:])
		}
	}
	return replayed[imaPCR], entries, r.err
}
