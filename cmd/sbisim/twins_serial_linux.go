package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	twins "sbid/simulator/serial"
)

// serialModels are the modules that can be plugged in, and what sbid must be told
// of one: the driver, and lines besides the port. Pictures of a virtual person
// have 500 pixels per inch and dark ridges, whatever the real module has; fingers
// fill its window, and a driver could not tell by the edge what is ground.
var serialModels = map[string]struct {
	driver string
	more   []string
	start  func(path string, pace float64) (*twins.Twin, error)
}{
	"r503": {"zfm", []string{"ridges: dark"}, func(path string, pace float64) (*twins.Twin, error) {
		return twins.StartEF01(path, twins.EF01{Width: 192, Height: 192, Product: "R503", Serial: "00000001", Pace: pace})
	}},
	"zfm": {"zfm", []string{"ridges: dark"}, func(path string, pace float64) (*twins.Twin, error) {
		return twins.StartEF01(path, twins.EF01{Pace: pace})
	}},
	"gt511c3": {"gt511", []string{"dpi: 500"}, func(path string, pace float64) (*twins.Twin, error) {
		return twins.StartGT511(path, twins.GT511{Serial: [16]byte{15: 1}, Pace: pace})
	}},
	"gt511c1r": {"gt511", []string{"model: C1R", "dpi: 500"}, func(path string, pace float64) (*twins.Twin, error) {
		return twins.StartGT511(path, twins.GT511{C1R: true, Serial: [16]byte{15: 2}, Pace: pace})
	}},
}

func (c *serialCmd) run(ctx context.Context, stdout io.Writer) error {
	path, err := filepath.Abs(c.Link) // sbid runs elsewhere
	if err != nil {
		return err
	}
	model := serialModels[c.Device]
	twin, err := model.start(path, c.Pace)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w; choose another --link, or remove it if nothing uses it", err)
	}
	if err != nil {
		return err
	}
	defer twin.Close()
	fmt.Fprintf(stdout, "scanners:\n  %s:\n    ports: [%q]\n", model.driver, path)
	for _, line := range model.more {
		fmt.Fprintf(stdout, "    %s\n", line)
	}
	c.play(ctx, []window{twin}, nil)
	return nil
}
