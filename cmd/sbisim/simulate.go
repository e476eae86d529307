package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"image"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"sbid/attest"
	"sbid/attest/developer"
	"sbid/attest/tpm"
	"sbid/capture"
	"sbid/capture/imagecodec"
	"sbid/cmd/internal/daemon"
	"sbid/driver"
	"sbid/sbi"
	"sbid/simulator"
)

// roles says which device each virtual scanner is. Registration devices say L0
// and sign their digital ID themselves; auth devices say L1 and have it signed
// by the FTM key, which is what the clients of either expect.
var roles = map[string]struct {
	name    string // of the device and its key
	id      string // deviceId
	purpose sbi.Purpose
	subType string
}{
	"slap":        {"registration-finger", "1", sbi.Registration, "Slap"},
	"iris-double": {"registration-iris", "2", sbi.Registration, "Double"},
	"camera":      {"registration-face", "3", sbi.Registration, "Full face"},
	"finger":      {"auth-finger", "4", sbi.Auth, "Single"},
	"iris":        {"auth-iris", "5", sbi.Auth, "Single"},
	"camera-auth": {"auth-face", "6", sbi.Auth, "Full face"},
}

// simulate composes scanners, keys and endpoints, and serves until ctx ends.
func simulate(ctx context.Context, f flags, stdout, stderr io.Writer) error {
	log := f.Logger(stderr)
	pictures, err := loadFrames(f.Frames)
	if err != nil {
		return err
	}
	var names []string
	for _, r := range roles {
		names = append(names, r.name)
	}
	set, closeKeys, err := openTrust(ctx, f, names)
	if err != nil {
		return err
	}
	defer closeKeys()
	encryption := set.Encryption()
	if f.EncryptionCertificate != "" {
		certs, err := attest.ReadCertificates(f.EncryptionCertificate)
		if err != nil {
			return err
		}
		encryption = certs[0]
	}
	sim := simulator.New(simulator.Config{
		Seed:     f.Seed,
		SerialOf: func(addr string) string { return serial(set.MachineID(), addr) },
		Images:   pictures,
	})
	infos, err := sim.Probe(ctx)
	if err != nil {
		return err
	}
	var devices []daemon.Device
	for _, info := range infos {
		devices = append(devices, device(set, encryption, f.Organisation, sim, info))
	}
	control := &control{sim: sim, set: set, log: log}
	d, err := f.New(ctx, daemon.Settings{Environment: "Developer", AnyOrigin: true, Extra: control.handlers()}, log, stdout)
	if err != nil {
		return err
	}
	for _, dev := range devices {
		if err := d.Add(dev); err != nil {
			d.Close()
			return err
		}
	}
	control.daemon = d
	log.Info("virtual scanners, developer keys: not for enrolment", "state", f.StateDir, "seed", f.Seed)
	if terminal(stderr) {
		fmt.Fprint(stderr, welcome)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { follow(ctx, sim, d) })
	return d.Run(ctx)
}

// openTrust opens the developer trust set, with the signing keys in files or,
// where one is named, in a TPM.
func openTrust(ctx context.Context, f flags, names []string) (set *developer.Set, closeAll func(), err error) {
	if f.TPM == "" {
		if set, err = developer.Open(f.StateDir, f.Organisation, names, time.Now()); err != nil {
			return nil, nil, fmt.Errorf("open state directory: %w", err)
		}
		return set, func() { set.Close() }, nil
	}
	store, err := tpm.Open(ctx, tpm.Config{Device: f.TPM, Dir: filepath.Join(f.StateDir, "tpm")})
	if err != nil {
		return nil, nil, fmt.Errorf("open TPM %s: %w", f.TPM, err)
	}
	if set, err = developer.OpenWith(f.StateDir, f.Organisation, names, time.Now(), store); err != nil {
		store.Close()
		return nil, nil, fmt.Errorf("open state directory: %w", err)
	}
	return set, func() { set.Close(); store.Close() }, nil
}

// follow keeps the scanners present or absent as they are plugged, until ctx
// ends. There are no others than those of the start.
func follow(ctx context.Context, sim *simulator.Simulator, d *daemon.Daemon) {
	sim.Watch(ctx, func() {
		infos, err := sim.Probe(ctx)
		if err != nil {
			return // ctx is over
		}
		for _, dev := range d.Devices() {
			addr := dev.Scanner.Info().Addr
			dev.Scanner.SetPresent(slices.ContainsFunc(infos, func(info driver.Info) bool { return info.Addr == addr }))
		}
	})
}

const welcome = `
Try in a second terminal:
  bin/sbid devices
  bin/sbid capture --type Finger --sub-id 1 --out /tmp/slap
  bin/sbid verify /tmp/slap
Ctrl-C ends this service.

`

func device(set *developer.Set, encryption *x509.Certificate, organisation string, sim *simulator.Simulator, info driver.Info) daemon.Device {
	role := roles[info.Addr]
	d := &sbi.Device{
		ID: role.id, Scanner: capture.NewScanner(sim, info), SubType: role.subType,
		Level: "L0", Serial: info.Serial, Purpose: role.purpose,
		Provider: organisation, ProviderID: "SBID.DEVELOPER",
		Encryption: func() (*x509.Certificate, error) { return encryption, nil },
	}
	if role.purpose == sbi.Auth {
		d.Level = "L1"
	}
	return daemon.Device{Device: d, Keys: keysOf(set, d, role.name)}
}

// serial makes a serial number that belongs to a state directory and a scanner:
// 16 letters and digits.
func serial(machine, addr string) string {
	sum := sha256.Sum256([]byte(machine + " " + addr))
	return "SBID" + strings.ToUpper(hex.EncodeToString(sum[:6]))
}

// keysOf returns what a device signs with, by its level.
func keysOf(set *developer.Set, d *sbi.Device, name string) *sbi.Keys {
	identity := set.Device(name)
	if d.Level == "L1" {
		return &sbi.Keys{Device: identity, DigitalID: set.FTM()}
	}
	return &sbi.Keys{Device: identity, DigitalID: identity}
}

// loadFrames reads the pictures of a folder, by their names without the ending.
// Without a folder there are none.
func loadFrames(dir string) (map[string]image.Image, error) {
	if dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read pictures: %w", err)
	}
	pictures := map[string]image.Image{}
	for _, entry := range entries {
		name := entry.Name()
		switch strings.ToLower(filepath.Ext(name)) {
		case ".pgm", ".ppm", ".png", ".jpg", ".jpeg":
		default:
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("read pictures: %w", err)
		}
		img, _, err := imagecodec.Decode(data)
		if err != nil {
			return nil, fmt.Errorf("picture %s: %w", filepath.Join(dir, name), err)
		}
		pictures[strings.TrimSuffix(name, filepath.Ext(name))] = img
	}
	if len(pictures) == 0 {
		return nil, fmt.Errorf("no pictures in %s: name them like left-index.pgm, left-iris.png, face.jpg, left-slap.png", dir)
	}
	return pictures, nil
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
