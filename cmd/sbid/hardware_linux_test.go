//go:build hardware

package main

import (
	"image"
	"math"
	"path/filepath"
	"testing"
	"time"

	"sbid/capture/imagecodec"
	"sbid/capture/iso19794"
	"sbid/cmd/sbid/internal/verify"
	"sbid/driver"
	"sbid/simulator"
	twins "sbid/simulator/usb"
	"sbid/simulator/usbip"
)

// From the wire to the packet: a U.are.U on the kernel's USB, libusb in its
// helper, keys in the kernel's TPM, a capture by HTTP, and a signed record with
// the very picture that the reader saw.
func TestFromTheWireToThePacket(t *testing.T) {
	p := newProvider(t)
	k := bareKiosk(t, "keys: {store: tpm}", "certificates: {device-roots: ["+p.roots()+"]}",
		"scanners: {usb: {helper: /usr/bin/sbid-usb}}")
	reader, err := twins.StartURU4000(usbip.Attach, twins.URU4000{Interval: 130 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reader.Close)
	s := k.start("Registration")
	s.await("Registration", "Not Registered")
	requests := filepath.Join(t.TempDir(), "requests")
	k.must("provision --requests", requests)
	k.must("provision --import", p.certify(requests, nil))
	device := s.await("Registration", "Ready")

	picture := simulator.NewPerson(3).Finger(driver.RightIndex, simulator.Impression{})
	reader.Show(picture)
	answer, err := s.capture(device)
	if err != nil {
		t.Fatalf("%v\n%s", err, s.log)
	}
	reader.Show(nil)
	p.verified(answer)
	report, err := verify.Bytes(answer.Raw, verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var record *iso19794.Finger
	for _, item := range report.Items {
		if item.Record == nil {
			continue
		}
		if record, err = iso19794.DecodeFinger(item.Record); err != nil {
			t.Fatal(err)
		}
	}
	if record == nil {
		t.Fatalf("no record in %+v", report.Items)
	}
	if record.ScanRateH != 512 || record.ImageRateH != 500 {
		t.Errorf("the record says %d dpi of %d", record.ImageRateH, record.ScanRateH)
	}
	img, _, err := imagecodec.DecodeJP2(record.Data)
	if err != nil {
		t.Fatal(err)
	}
	if r := likeness(img.(*image.Gray), reader.Sees(picture), 500./512); r < 0.97 {
		t.Errorf("the record's image correlates %.3f with what the reader saw", r)
	}

	reader.Unplug()
	s.await("Registration", "Not Ready")
	if err := reader.Plug(); err != nil {
		t.Fatal(err)
	}
	if again := s.await("Registration", "Ready"); again.ID != device.ID {
		t.Errorf("plugged in again it is %s, and was %s", again.ID, device.ID)
	}
	t.Log(k.must("doctor"))
}

// likeness returns the correlation of an image with the part of seen that fits it
// best, once seen has been scaled.
func likeness(img, seen *image.Gray, scale float64) float64 {
	size := img.Bounds().Size()
	full := image.Pt(int(float64(seen.Bounds().Dx())*scale), int(float64(seen.Bounds().Dy())*scale))
	best := -1.0
	for dy := 0; dy <= full.Y-size.Y; dy++ {
		for dx := 0; dx <= full.X-size.X; dx++ {
			var n, sx, sy, sxx, syy, sxy float64
			for y := 2; y < size.Y-2; y += 5 { // one pixel in twenty-five tells as much
				for x := 2; x < size.X-2; x += 5 {
					u := int(math.Round((float64(x+dx)+0.5)/scale - 0.5))
					v := int(math.Round((float64(y+dy)+0.5)/scale - 0.5))
					a, b := float64(img.GrayAt(x, y).Y), float64(seen.GrayAt(u, v).Y)
					n, sx, sy, sxx, syy, sxy = n+1, sx+a, sy+b, sxx+a*a, syy+b*b, sxy+a*b
				}
			}
			best = max(best, (n*sxy-sx*sy)/math.Sqrt((n*sxx-sx*sx)*(n*syy-sy*sy)))
		}
	}
	return best
}
