package main

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"

	"sbid/cmd/sbid/internal/verify"
)

// A folder keeps biometrics: files that nobody but their owner can read. The
// zero folder keeps nothing.
type folder struct {
	dir   string
	taken map[string]int // names that are in use, and how often
}

// openFolder makes dir if it is not there. An empty dir gives the folder that
// keeps nothing.
func openFolder(dir string) (folder, error) {
	if dir == "" {
		return folder{}, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return folder{}, err
	}
	return folder{dir, map[string]int{}}, nil
}

func (f folder) save(name string, b []byte) error {
	if f.dir == "" {
		return nil
	}
	return saveFile(filepath.Join(f.dir, name), b)
}

// saveItem saves what an item holds under the name of its position and returns
// the names of the files.
func (f folder) saveItem(item *verify.Item) ([]string, error) {
	if f.dir == "" {
		return nil, nil
	}
	base := item.Position.String()
	f.taken[base]++
	if n := f.taken[base]; n > 1 { // several of unknown position
		base = fmt.Sprintf("%s-%d", base, n)
	}
	picture, err := encodePNG(item.Image)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range []struct {
		extension string
		content   []byte
	}{{".iso", item.Record}, {".jws", []byte(item.Token)}, {".png", picture}} {
		if len(file.content) == 0 {
			continue
		}
		if err := f.save(base+file.extension, file.content); err != nil {
			return nil, err
		}
		names = append(names, base+file.extension)
	}
	return names, nil
}

// encodePNG returns nil for no image.
func encodePNG(img image.Image) ([]byte, error) {
	if img == nil {
		return nil, nil
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// saveFile writes a file that only its owner can read, whatever was there
// before. It appears whole or not at all.
func saveFile(path string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".sbid-*") // with mode 0600
	if err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	_, err = tmp.Write(b)
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // the error that matters is the first
		return fmt.Errorf("save %s: %w", path, err)
	}
	return nil
}
