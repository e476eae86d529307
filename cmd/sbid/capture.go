package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sbid/attest"
	"sbid/cmd/sbid/internal/subtype"
	"sbid/cmd/sbid/internal/verify"
	"sbid/driver"
	"sbid/sbi/client"
)

// request holds the flags that both kinds of capture have.
type request struct {
	target
	Score        int           `default:"60" help:"Capture as soon as this quality is reached, 0 to 100 (${default})."`
	Timeout      time.Duration `default:"10s" help:"How long to wait for that quality (${default})."`
	Env          string        `default:"Developer" enum:"Staging,Developer,Pre-Production,Production" help:"Environment to name in the request (${default})."`
	Transaction  string        `placeholder:"ID" help:"Transaction id. Default: one made up."`
	PreviousHash string        `placeholder:"HASH" help:"Hash of the transaction's last capture, to go on from. Default: begin a chain."`
	Out          string        `type:"path" placeholder:"DIR" help:"Save what came in this folder."`
	Trust        string        `type:"existingdir" placeholder:"DIR" help:"Check signatures against the certificates in this folder: device-*.pem, ftm-*.pem."`
	JSON         bool          `name:"json" help:"Print one JSON document."`
}

// Validate refuses what no device takes.
func (r *request) Validate() error {
	switch {
	case r.Score < 0 || r.Score > 100:
		return fmt.Errorf("--score %d is not from 0 to 100", r.Score)
	case r.Timeout < time.Millisecond:
		return fmt.Errorf("--timeout %v is too short", r.Timeout)
	}
	if _, err := attest.ParsePreviousHash(r.PreviousHash); err != nil {
		return fmt.Errorf("--previous-hash: %w", err)
	}
	return nil
}

// options says how to judge the answer, and makes up what the user left out.
func (r *request) options() (verify.Options, error) {
	if r.Transaction == "" {
		r.Transaction = rand.Text()
	}
	o := verify.Options{Previous: r.PreviousHash, Transaction: r.Transaction}
	if r.Trust != "" {
		trust, err := attest.ReadTrust(r.Trust)
		if err != nil {
			return o, usageError(err)
		}
		o.Trust = trust
	}
	return o, nil
}

// wire makes the request to a device; what the two kinds differ in is in bio.
func (r *request) wire(d client.Device, bio client.Bio) client.Request {
	bio.Type, bio.Score, bio.DeviceID, bio.PreviousHash = r.Type.String(), r.Score, d.ID, r.PreviousHash
	return client.Request{Env: r.Env, Timeout: r.Timeout, TransactionID: r.Transaction, Bio: []client.Bio{bio}}
}

type captureCmd struct {
	request
	SubID     string   `name:"sub-id" enum:",0,1,2,3" default:"" placeholder:"N" help:"Sensor: 1 left, 2 right, 3 both eyes or both thumbs, 0 what has only one. Default: the only one."`
	Exception []string `placeholder:"NAME" help:"What the person does not have, like left-ring or \"Left RingFinger\". May be repeated. With Face: take an exception photo."`
	CBEFF     string   `name:"cbeff" type:"path" placeholder:"FILE" help:"Ask for CBEFF and save it in this file."`
}

// Run captures from the first Registration device that is ready, judges what
// came and saves it.
func (cmd *captureCmd) Run(ctx context.Context, c *console) error {
	c.json = cmd.JSON
	exceptions, err := positionsOf(cmd.Exception)
	if err != nil {
		return err
	}
	// What can be wrong here must be found before anybody places a finger.
	options, err := cmd.options()
	if err != nil {
		return err
	}
	if info, err := os.Stat(filepath.Dir(cmd.CBEFF)); err != nil || !info.IsDir() {
		return usagef("--cbeff %s: there is no such folder", cmd.CBEFF)
	}
	folder, err := openFolder(cmd.Out)
	if err != nil {
		return err
	}
	api := client.New()
	device, err := cmd.find(ctx, api, client.Registration)
	if err != nil {
		return err
	}
	subID, sensor, err := sensorOf(device, cmd.SubID)
	if err != nil {
		return err
	}
	var bio client.Bio
	options.Asked, bio, err = cmd.plan(subID, sensor, exceptions)
	if err != nil {
		return err
	}
	c.progress("%s", placeHint(cmd.Type.Modality, sensor))
	body, err := cmd.call(ctx, api, device, bio)
	if err != nil {
		return err
	}
	report, err := verify.Bytes(body, options)
	if err != nil {
		return fmt.Errorf("the device answered with something else: %w", err)
	}
	if cmd.CBEFF != "" {
		if err := saveFile(cmd.CBEFF, body); err != nil {
			return err
		}
	} else if err := folder.save("answer.json", body); err != nil {
		return err
	}
	return finish(c, folder, captured{Port: device.Port, Device: device.ID, Transaction: cmd.Transaction, CBEFF: cmd.CBEFF}, report)
}

func (cmd *captureCmd) call(ctx context.Context, api *client.Client, d client.Device, bio client.Bio) ([]byte, error) {
	if cmd.CBEFF != "" {
		return api.RCaptureCBEFF(ctx, d.Port, cmd.wire(d, bio))
	}
	answer, err := api.RCapture(ctx, d.Port, cmd.wire(d, bio))
	return answer.Raw, err
}

// plan says which positions an answer must have, and asks for them.
func (cmd *captureCmd) plan(subID string, sensor driver.Sensor, exceptions []driver.Position) ([]driver.Position, client.Bio, error) {
	m := cmd.Type.Modality
	bio := client.Bio{SubID: subID, Exceptions: names(exceptions)}
	positions := m.Positions(sensor)
	if m == driver.Face {
		bio.Count = 1
		return positions, bio, nil
	}
	for _, p := range exceptions {
		if !slices.Contains(positions, p) {
			return nil, bio, usagef("--exception %v: this sensor does not take it", p)
		}
	}
	if sensor == driver.Single { // one, and nobody says which
		bio.Count, bio.SubTypes = 1, []string{subtype.Unknown}
		return []driver.Position{unknownOf(m)}, bio, nil
	}
	positions = slices.DeleteFunc(positions, func(p driver.Position) bool { return slices.Contains(exceptions, p) })
	if len(positions) == 0 {
		return nil, bio, usagef("nothing is left to capture: the sensor takes nothing but the exceptions")
	}
	bio.Count, bio.SubTypes = len(positions), names(positions)
	return positions, bio, nil
}

// positionsOf reads positions as people write them.
func positionsOf(texts []string) ([]driver.Position, error) {
	positions := make([]driver.Position, len(texts))
	for i, text := range texts {
		p, err := subtype.Parse(text)
		if err != nil {
			return nil, usageError(err)
		}
		positions[i] = p
	}
	return positions, nil
}

func names(positions []driver.Position) []string {
	list := make([]string, len(positions))
	for i, p := range positions {
		list[i] = subtype.Name(p)
	}
	return list
}

func unknownOf(m driver.Modality) driver.Position {
	switch m {
	case driver.Finger:
		return driver.UnknownFinger
	case driver.Iris:
		return driver.UnknownIris
	}
	return driver.FullFace
}

// sensorOf returns the sensor to use: the one asked for, or the only one.
func sensorOf(d client.Device, asked string) (subID string, sensor driver.Sensor, err error) {
	if asked == "" {
		if len(d.SubIDs) != 1 {
			return "", 0, usagef("device %s has the sensors %v: choose one with --sub-id", d.ID, d.SubIDs)
		}
		asked = d.SubIDs[0]
	}
	sensors := map[string]driver.Sensor{"0": driver.Single, "1": driver.Left, "2": driver.Right, "3": driver.Both}
	sensor, ok := sensors[asked]
	if !ok || len(d.SubIDs) > 0 && !slices.Contains(d.SubIDs, asked) {
		return "", 0, usagef("device %s has the sensors %v, not %s", d.ID, d.SubIDs, asked)
	}
	return asked, sensor, nil
}

// placeHint tells the person at the scanner what to do.
func placeHint(m driver.Modality, s driver.Sensor) string {
	switch {
	case m == driver.Face:
		return "Look into the camera."
	case m == driver.Iris:
		return "Open the eyes wide."
	case s == driver.Left:
		return "Place the four fingers of the left hand."
	case s == driver.Right:
		return "Place the four fingers of the right hand."
	case s == driver.Both:
		return "Place both thumbs."
	}
	return "Place the finger."
}

// captured is the document of a capture.
type captured struct {
	Port        int                 `json:"port"`
	Device      string              `json:"deviceId"`
	Transaction string              `json:"transactionId"`
	Biometrics  []capturedBiometric `json:"biometrics"`
	Out         string              `json:"out,omitempty"`
	CBEFF       string              `json:"cbeff,omitempty"`
	Kind        string              `json:"kind"`
	Checks      []*verify.Item      `json:"checks"`
}

type capturedBiometric struct {
	Position  string   `json:"position"`
	Score     string   `json:"score"`
	Bytes     int      `json:"bytes"` // of the record; 0 while it is encrypted
	Hash      string   `json:"hash,omitempty"`
	Encrypted bool     `json:"encrypted"`
	Files     []string `json:"files,omitempty"` // in the folder
}

// finish saves what a capture brought, tells about it and fails if anything in
// it did not verify.
func finish(c *console, f folder, doc captured, report verify.Report) error {
	doc.Out, doc.Kind, doc.Checks, doc.Biometrics = f.dir, report.Kind, report.Items, []capturedBiometric{}
	for _, item := range report.Items {
		if item.Token == "" {
			continue // about the answer as a whole
		}
		b := capturedBiometric{
			Position: item.Position.String(), Score: item.Score, Hash: item.Hash,
			Bytes: len(item.Record), Encrypted: item.Encrypted,
		}
		var err error
		if b.Files, err = f.saveItem(item); err != nil {
			return err
		}
		doc.Biometrics = append(doc.Biometrics, b)
	}
	if err := c.result(doc, func(w io.Writer) { doc.print(w, report) }); err != nil {
		return err
	}
	if n := report.Count(verify.Failed); n > 0 {
		return unverified(n, n+report.Count(verify.OK))
	}
	return nil
}

// print writes the document for people.
func (doc *captured) print(w io.Writer, report verify.Report) {
	fmt.Fprintln(w, "POSITION\tSCORE\tBYTES\tHASH")
	encrypted := false
	for _, b := range doc.Biometrics {
		size := fmt.Sprint(b.Bytes)
		if b.Encrypted {
			size, encrypted = "encrypted", true
		}
		shown := b.Hash
		if shown == "" {
			shown = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", b.Position, b.Score, size, shown)
	}
	fmt.Fprintln(w)
	if encrypted {
		fmt.Fprintln(w, "The records are encrypted. Open them with the key: --decrypt-key FILE")
	}
	for _, place := range []string{doc.Out, doc.CBEFF} {
		if place != "" {
			fmt.Fprintf(w, "Saved in %s: biometrics, which only you can read.\n", place)
		}
	}
	for _, text := range report.Failures() {
		fmt.Fprintln(w, "failed:", text)
	}
	printCounts(w, report.Count(verify.OK), report.Count(verify.Failed), report.Count(verify.NotChecked))
}

func printCounts(w io.Writer, ok, failed, notChecked int) {
	fmt.Fprintf(w, "%d checks ok, %d failed, %d not checked.\n", ok, failed, notChecked)
}
