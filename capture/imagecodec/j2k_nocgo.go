//go:build !cgo

package imagecodec

func encodeCodestream(pixels, bool, float64, int, int) ([]byte, error) {
	return nil, ErrNoOpenJPEG
}

func decodeCodestream([]byte, pixels, int) error {
	return ErrNoOpenJPEG
}
