// Package architecture keeps the rooms of the house apart: it reads the import
// graph of the whole module, as built for each system, and fails when a package
// imports what its room must not.
package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A room is a folder of the module and what the packages in it may import. The
// first room of the list that a package is in, is its room.
type room struct {
	path string // relative to the module; everything below belongs to it
	// ours lists the folders of the module that it may import from, besides itself.
	ours []string
	// stdOnly: of everything else, only the standard library.
	stdOnly bool
	// also lists modules that a room of the standard library may import.
	also []string
	// alone: the room is this one package, and what is below it another room.
	alone bool
}

var rooms = []room{
	{path: "cmd/sbisim", ours: []string{"cmd/internal", "sbi", "capture", "attest", "driver", "simulator"}},
	{path: "cmd/sbidca", ours: []string{"cmd/internal", "attest"}},
	{path: "cmd/sbid", ours: []string{"cmd/internal", "sbi", "capture", "attest", "driver"}},
	{path: "cmd/sbid-usb", ours: []string{"cmd/internal", "driver"}},
	{path: "cmd/internal", ours: []string{"sbi", "capture", "attest", "driver"}},
	{path: "sbi/client"},
	{path: "sbi", ours: []string{"capture", "attest", "driver"}},
	{path: "capture", ours: []string{"driver"}},
	{path: "attest"},
	{path: "simulator", ours: []string{"driver"}, stdOnly: true, also: []string{"golang.org/x/sys"}},
	{path: "driver", stdOnly: true, alone: true},
	{path: "driver"},
}

const (
	module = "sbid"
	// shim is the one package that calls C: the codec of JPEG 2000.
	shim = "capture/imagecodec"
	// libusb calls C as well, and is reached from usb alone.
	libusb = "github.com/google/gousb"
	usb    = "driver/internal/usb"
)

// A pkg is what the Go command tells of a package.
type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
	CgoFiles   []string
}

// violations returns a sentence for every package that breaks a rule.
func violations(pkgs []pkg) []string {
	standard := map[string]bool{"C": true, "unsafe": true}
	for _, p := range pkgs {
		if p.Standard {
			standard[p.ImportPath] = true
		}
	}
	var found []string
	for _, p := range pkgs {
		path, own := inModule(p.ImportPath)
		if !own {
			continue
		}
		i := slices.IndexFunc(rooms, func(r room) bool { return r.holds(path) })
		if i < 0 {
			found = append(found, path+" is in no room")
			continue
		}
		if len(p.CgoFiles) > 0 && path != shim {
			found = append(found, path+" calls C, which only "+shim+" may")
		}
		for _, imported := range p.Imports {
			if other, own := inModule(imported); own {
				if !rooms[i].allows(other) {
					found = append(found, path+" imports "+other)
				}
			} else if within(imported, libusb) && !within(path, usb) {
				found = append(found, path+" imports libusb, which only "+usb+" may")
			} else if rooms[i].stdOnly && !standard[imported] && !slices.ContainsFunc(rooms[i].also, func(m string) bool { return within(imported, m) }) {
				found = append(found, path+" imports "+imported+" from outside the standard library")
			}
		}
	}
	return found
}

// holds reports whether the package at path is in the room.
func (r room) holds(path string) bool {
	return path == r.path || !r.alone && within(path, r.path)
}

// allows reports whether packages of the room may import path.
func (r room) allows(path string) bool {
	return r.holds(path) || slices.ContainsFunc(r.ours, func(ours string) bool { return within(path, ours) })
}

// inModule returns the path of a package relative to the module, and whether it
// belongs to the module.
func inModule(importPath string) (string, bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// systems are the ways in which the module is built.
var systems = map[string][]string{
	"linux":           {"GOOS=linux", "CGO_ENABLED=1"},
	"linux without C": {"GOOS=linux", "CGO_ENABLED=0"},
	"windows":         {"GOOS=windows", "CGO_ENABLED=0"},
}

// list returns patterns and all that they depend on, as built with env.
func list(t *testing.T, env []string, patterns ...string) []pkg {
	t.Helper()
	args := append([]string{"list", "-deps", "-json=ImportPath,Standard,Imports,CgoFiles"}, patterns...)
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = "../../.."
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, &stderr)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func TestImportsFollowTheArrows(t *testing.T) {
	for name, env := range systems {
		t.Run(name, func(t *testing.T) {
			pkgs := list(t, env, "./...")
			for _, v := range violations(pkgs) {
				t.Error(v)
			}
			for _, r := range rooms {
				if !slices.ContainsFunc(pkgs, func(p pkg) bool { return within(p.ImportPath, module+"/"+r.path) }) {
					t.Errorf("room %s is empty: is the list of rooms out of date?", r.path)
				}
			}
		})
	}
}

// A daemon that could play back a finger would be a hole: nothing of the
// simulator is ever linked into sbid.
func TestProductionDaemonHasNoSimulator(t *testing.T) {
	for name, env := range systems {
		t.Run(name, func(t *testing.T) {
			for _, p := range list(t, env, "./cmd/sbid") {
				if path, own := inModule(p.ImportPath); own && within(path, "simulator") {
					t.Errorf("cmd/sbid depends on %s", path)
				}
			}
		})
	}
}

// The daemon starts where libusb is missing: only its helper is linked with it.
func TestDaemonHasNoLibusb(t *testing.T) {
	for name, env := range systems {
		t.Run(name, func(t *testing.T) {
			for _, p := range list(t, env, "./cmd/sbid", "./cmd/sbisim") {
				if path, _ := inModule(p.ImportPath); within(p.ImportPath, libusb) || within(path, usb) {
					t.Errorf("the daemon depends on %s", p.ImportPath)
				}
			}
		})
	}
	if !slices.ContainsFunc(list(t, systems["linux"], "./cmd/sbid-usb"), func(p pkg) bool { return p.ImportPath == libusb }) {
		t.Error("the helper is not linked with libusb either")
	}
}

func TestViolationsAreSeen(t *testing.T) {
	tests := map[string]struct {
		pkg  pkg
		want string // "" when it is allowed
	}{
		"down an arrow":                {pkg{Imports: []string{"sbid/capture/quality"}, ImportPath: "sbid/sbi"}, ""},
		"within a room":                {pkg{Imports: []string{"sbid/capture/segment"}, ImportPath: "sbid/capture"}, ""},
		"up an arrow":                  {pkg{Imports: []string{"sbid/sbi"}, ImportPath: "sbid/capture"}, "capture imports sbi"},
		"capture that signs":           {pkg{Imports: []string{"sbid/attest"}, ImportPath: "sbid/capture/cbeff"}, "capture/cbeff imports attest"},
		"attest that knows fingers":    {pkg{Imports: []string{"sbid/capture"}, ImportPath: "sbid/attest/developer"}, "attest/developer imports capture"},
		"client that leans on us":      {pkg{Imports: []string{"sbid/sbi"}, ImportPath: "sbid/sbi/client"}, "sbi/client imports sbi"},
		"simulator in the daemon":      {pkg{Imports: []string{"sbid/simulator"}, ImportPath: "sbid/cmd/sbid"}, "cmd/sbid imports simulator"},
		"attestation CA on devices":    {pkg{Imports: []string{"sbid/capture"}, ImportPath: "sbid/cmd/sbidca"}, "cmd/sbidca imports capture"},
		"simulator in shared code":     {pkg{Imports: []string{"sbid/simulator"}, ImportPath: "sbid/cmd/internal/daemon"}, "cmd/internal/daemon imports simulator"},
		"simulator where it belongs":   {pkg{Imports: []string{"sbid/simulator"}, ImportPath: "sbid/cmd/sbisim"}, ""},
		"contract with a library":      {pkg{Imports: []string{"golang.org/x/sys/unix"}, ImportPath: "sbid/driver"}, "driver imports golang.org/x/sys/unix from outside the standard library"},
		"twin with system calls":       {pkg{Imports: []string{"golang.org/x/sys/unix"}, ImportPath: "sbid/simulator/usb"}, ""},
		"contract on a driver":         {pkg{Imports: []string{"sbid/driver/all"}, ImportPath: "sbid/driver"}, "driver imports driver/all"},
		"driver on the contract":       {pkg{Imports: []string{"sbid/driver", "go.bug.st/serial"}, ImportPath: "sbid/driver/zfm"}, ""},
		"driver that knows its caller": {pkg{Imports: []string{"sbid/capture"}, ImportPath: "sbid/driver/zfm"}, "driver/zfm imports capture"},
		"contract on the standard":     {pkg{Imports: []string{"image", "unsafe"}, ImportPath: "sbid/driver"}, ""},
		"C in the shim":                {pkg{CgoFiles: []string{"a.go"}, ImportPath: "sbid/capture/imagecodec"}, ""},
		"C elsewhere":                  {pkg{CgoFiles: []string{"a.go"}, ImportPath: "sbid/attest"}, "attest calls C, which only capture/imagecodec may"},
		"libusb in its place":          {pkg{Imports: []string{"github.com/google/gousb"}, ImportPath: "sbid/driver/internal/usb"}, ""},
		"libusb in a driver":           {pkg{Imports: []string{"github.com/google/gousb"}, ImportPath: "sbid/driver/uru4000"}, "driver/uru4000 imports libusb, which only driver/internal/usb may"},
		"room that nobody knows":       {pkg{ImportPath: "sbid/util"}, "util is in no room"},
		"folder that starts like ours": {pkg{ImportPath: "sbid/drivers"}, "drivers is in no room"},
		"other people's packages":      {pkg{Imports: []string{"net"}, CgoFiles: []string{"a.go"}, ImportPath: "example.org/x"}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(violations([]pkg{{ImportPath: "image", Standard: true}, tt.pkg}), "\n")
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
