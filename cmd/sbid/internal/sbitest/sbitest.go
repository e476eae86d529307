// Package sbitest is a small SBI service for tests of clients. It signs what it
// sends with keys of its own, captures pictures of nobody, and misbehaves when
// told to.
package sbitest

import (
	"crypto/rsa"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sbid/attest"
	"sbid/attest/developer"
	"sbid/capture/cbeff"
	"sbid/capture/iso19794"
	"sbid/cmd/sbid/internal/subtype"
	"sbid/driver"
)

// Organisation is what the device certificates name.
const Organisation = "Test Devices"

// Timestamp is when everything is captured and issued.
const Timestamp = "2026-01-02T03:04:05Z"

// Pictures of a gradient, 64 x 96 pixels.
var (
	//go:embed testdata/grey-lossless.jp2
	greyLossless []byte
	//go:embed testdata/grey-lossy.jp2
	greyLossy []byte
	//go:embed testdata/colour-lossless.jp2
	colourLossless []byte
)

// Keys are made once and serve many services.
type Keys struct {
	set    *developer.Set
	dir    string
	opener *rsa.PrivateKey
}

// NewKeys makes keys and certificates in a folder.
func NewKeys(dir string) (*Keys, error) {
	set, err := developer.Open(dir, Organisation, []string{"slap"}, time.Now())
	if err != nil {
		return nil, err
	}
	k := &Keys{set: set, dir: dir}
	k.opener, err = attest.ReadKey(k.KeyFile())
	return k, err
}

// Close gives the folder back.
func (k *Keys) Close() error { return k.set.Close() }

// TrustDir is the folder of the certificates to trust.
func (k *Keys) TrustDir() string { return filepath.Join(k.dir, "trust") }

// KeyFile holds the key that opens captures for authentication.
func (k *Keys) KeyFile() string { return filepath.Join(k.dir, "trust", "encryption-key.pem") }

// Opener is the key in KeyFile.
func (k *Keys) Opener() *rsa.PrivateKey { return k.opener }

// Trust is what is in TrustDir.
func (k *Keys) Trust() *attest.Trust { return k.set.Trust() }

// Device is the identity of the devices, DEVICE key and certificates.
func (k *Keys) Device() *attest.Identity { return k.set.Device("slap") }

// FTM is the identity that signs the digital IDs of level L1.
func (k *Keys) FTM() *attest.Identity { return k.set.FTM() }

// Faults that a service can be told to have.
const (
	Busy         = "busy"          // devices and captures say 111
	Unregistered = "unregistered"  // devices say 100
	NoDevices    = "no-devices"    // listings say 202
	NotSBI       = "not-sbi"       // every answer is a page
	Nothing      = "nothing"       // captures say 101, streams 110
	WrongHash    = "wrong-hash"    // of the first biometric
	WrongPayload = "wrong-payload" // changed after it was signed
	WrongRecord  = "wrong-record"  // of another position
	Short        = "short"         // one biometric less than asked for
	HalfStream   = "half-stream"   // ends within a frame
)

// A Service is an SBI service with a slap scanner and a camera for registration
// and a finger scanner for authentication.
type Service struct {
	Port  int
	keys  *Keys
	mu    sync.Mutex
	fault string
}

// Start starts a service that runs until the test ends.
func Start(t testing.TB, keys *Keys) *Service {
	t.Helper()
	s, stop := New(keys)
	t.Cleanup(stop)
	return s
}

// New starts a service that runs until stop is called.
func New(keys *Keys) (s *Service, stop func()) {
	s = &Service{keys: keys}
	server := httptest.NewUnstartedServer(s)
	s.Port = server.Listener.Addr().(*net.TCPAddr).Port
	server.Start()
	return s, server.Close
}

// SetFault makes the service misbehave; "" makes it behave.
func (s *Service) SetFault(fault string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

func (s *Service) has(fault string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault == fault
}

// ServeHTTP answers the verbs of SBI.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if s.has(NotSBI) {
		_, _ = io.WriteString(w, "<html>It works.</html>")
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "MOSIPDISC /device":
		reply(w, s.discovery(body))
	case "MOSIPDINFO /info":
		reply(w, s.info())
	case "CAPTURE /capture", "RCAPTURE /capture":
		s.capture(w, body, r.Method == "CAPTURE", r.Header.Get("Accept") == "application/cbeff+xml")
	case "STREAM /stream":
		s.stream(w)
	default:
		http.NotFound(w, r)
	}
}

type object = map[string]any

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(encode(v))
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func sbiError(code, info string) object { return object{"errorCode": code, "errorInfo": info} }

var success = sbiError("0", "Success")

type device struct {
	id, kind, subType, purpose, level string
	subIDs                            []string
}

var devices = []device{
	{"1", "Finger", "Slap", "Registration", "L0", []string{"1", "2", "3"}},
	{"3", "Face", "Full face", "Registration", "L0", []string{"0"}},
	{"4", "Finger", "Single", "Auth", "L1", []string{"0"}},
}

func (d device) digitalID() object {
	return object{
		"serialNo": "TEST0000000" + d.id, "make": "Maker", "model": "Model", "type": d.kind, "deviceSubType": d.subType,
		"deviceProvider": "Provider", "deviceProviderId": "PROVIDER.1", "dateTime": Timestamp,
	}
}

// members are those that discovery and info have in common.
func (s *Service) members(d device) object {
	status, purpose := "Ready", d.purpose
	switch {
	case s.has(Busy):
		status = "Busy"
	case s.has(Unregistered):
		status, purpose = "Not Registered", ""
	}
	return object{
		"deviceId": d.id, "deviceStatus": status, "certification": d.level, "serviceVersion": "1.0", "deviceSubId": d.subIDs,
		"callbackId": fmt.Sprintf("http://127.0.0.1:%d/", s.Port), "deviceCode": "TEST0000000" + d.id,
		"specVersion": []string{"0.9.5"}, "purpose": purpose,
	}
}

// status is the error element that goes with members.
func (s *Service) status() object {
	switch {
	case s.has(Busy):
		return sbiError("111", "The scanner is in use by another capture or program.")
	case s.has(Unregistered):
		return sbiError("100", "This scanner is not registered yet.")
	}
	return success
}

func (s *Service) discovery(body []byte) any {
	var request struct{ Type string }
	if json.Unmarshal(body, &request) != nil {
		return []object{{"error": sbiError("500", "The program sent a request that is not valid.")}}
	}
	if s.has(NoDevices) {
		return []object{{"error": sbiError("202", "No scanner is connected.")}}
	}
	list := []object{}
	for _, d := range devices {
		if request.Type == d.kind || request.Type == "Biometric Device" {
			o := s.members(d)
			o["digitalId"] = base64.RawURLEncoding.EncodeToString(encode(d.digitalID()))
			o["error"] = s.status()
			list = append(list, o)
		}
	}
	return list
}

func (s *Service) info() any {
	list := []object{}
	for _, d := range devices {
		o := s.members(d)
		o["firmware"], o["env"] = "1.0", "Developer"
		o["digitalId"] = s.signedID(d)
		token := s.sign(s.keys.Device(), o)
		if s.has(Unregistered) {
			o["env"], o["digitalId"] = "None", base64.RawURLEncoding.EncodeToString(encode(d.digitalID()))
			token = base64.RawURLEncoding.EncodeToString(encode(o))
		}
		list = append(list, object{"deviceInfo": token, "error": s.status()})
	}
	return list
}

func (s *Service) signedID(d device) string {
	if d.level == "L1" {
		return s.sign(s.keys.FTM(), d.digitalID())
	}
	return s.sign(s.keys.Device(), d.digitalID())
}

func (s *Service) sign(id *attest.Identity, payload any) string {
	token, err := id.Sign(encode(payload))
	if err != nil {
		panic(err)
	}
	return token
}

// request is a capture request as far as this service reads it.
type request struct {
	Env, TransactionID string
	DomainURI          *string
	Bio                []struct {
		Type, Count, DeviceID, PreviousHash, RequestedScore string
		BioSubType                                          []string
	}
}

func (s *Service) capture(w http.ResponseWriter, body []byte, forAuth, cbeff bool) {
	var r request
	if json.Unmarshal(body, &r) != nil || len(r.Bio) != 1 {
		s.fail(w, "500", "The program sent a request that is not valid.")
		return
	}
	i := slices.IndexFunc(devices, func(d device) bool { return d.id == r.Bio[0].DeviceID && (d.purpose == "Auth") == forAuth })
	switch {
	case i < 0:
		s.fail(w, "106", "That scanner is not on this machine.")
	case s.has(Busy):
		s.fail(w, "111", "The scanner is in use by another capture or program.")
	case s.has(Unregistered):
		s.fail(w, "100", "This scanner is not registered yet.")
	case s.has(Nothing):
		s.fail(w, "101", "Nothing was placed on the scanner in time.")
	case cbeff:
		s.replyCBEFF(w, s.biometrics(r, devices[i], forAuth))
	default:
		reply(w, object{"biometrics": s.biometrics(r, devices[i], forAuth)})
	}
}

func (s *Service) fail(w http.ResponseWriter, code, info string) {
	reply(w, object{"biometrics": []object{{"specVersion": "0.9.5", "data": "", "hash": "", "error": sbiError(code, info)}}})
}

// biometrics captures what r asks for.
func (s *Service) biometrics(r request, d device, forAuth bool) []object {
	bio := r.Bio[0]
	subTypes := bio.BioSubType
	if d.kind == "Face" {
		subTypes = []string{""}
	}
	if s.has(Short) {
		subTypes = subTypes[1:]
	}
	previous, err := attest.ParsePreviousHash(bio.PreviousHash)
	if err != nil {
		panic(err)
	}
	var list []object
	for n, name := range subTypes {
		record := s.record(name, d, forAuth)
		payload := object{
			"digitalId": s.signedID(d), "deviceCode": "TEST0000000" + d.id, "deviceServiceVersion": "1.0", "bioType": d.kind,
			"purpose": d.purpose, "env": r.Env, "transactionId": r.TransactionID, "timestamp": Timestamp,
			"requestedScore": bio.RequestedScore, "qualityScore": fmt.Sprint(80 + n),
			"bioValue": base64.RawURLEncoding.EncodeToString(record),
		}
		if d.kind != "Face" {
			payload["bioSubType"] = name
		}
		previous = attest.ChainHash(previous, record)
		element := object{"specVersion": "0.9.5", "hash": previous.String(), "error": success}
		if forAuth {
			sealed, err := attest.Seal(record, Timestamp, r.TransactionID, s.keys.set.Encryption())
			if err != nil {
				panic(err)
			}
			payload["bioValue"] = base64.RawURLEncoding.EncodeToString(sealed.Value)
			element["sessionKey"], element["thumbprint"] = sealed.SessionKey, sealed.Thumbprint
			if r.DomainURI != nil {
				payload["domainUri"] = *r.DomainURI
			}
		}
		token := s.sign(s.keys.Device(), payload)
		if n == 0 && s.has(WrongHash) {
			element["hash"] = strings.Repeat("0", 64)
		}
		if n == 0 && s.has(WrongPayload) {
			payload["qualityScore"] = "99"
			parts := strings.Split(token, ".")
			token = parts[0] + "." + base64.RawURLEncoding.EncodeToString(encode(payload)) + "." + parts[2]
		}
		element["data"] = token
		list = append(list, element)
	}
	return list
}

// replyCBEFF wraps biometrics in BIRs.
func (s *Service) replyCBEFF(w http.ResponseWriter, biometrics []object) {
	var birs []cbeff.BIR
	for _, b := range biometrics {
		token, err := attest.Verify(b["data"].(string))
		if err != nil {
			panic(err)
		}
		var payload struct{ BioType, BioSubType, BioValue, QualityScore string }
		if err := json.Unmarshal(token.Payload, &payload); err != nil {
			panic(err)
		}
		record, err := base64.RawURLEncoding.DecodeString(payload.BioValue)
		if err != nil {
			panic(err)
		}
		position, _ := subtype.Position(payload.BioSubType, modalityOf(payload.BioType))
		bir, err := cbeff.New(cbeff.SignedRecord{
			Token: b["data"].(string), Record: record, Position: position, Quality: payload.QualityScore,
			Created: time.Now(), SpecVersion: "0.9.5", Retries: 1,
		})
		if err != nil {
			panic(err)
		}
		birs = append(birs, bir)
	}
	document, err := cbeff.Marshal(birs)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/cbeff+xml")
	_, _ = w.Write(document)
}

func modalityOf(kind string) driver.Modality {
	if kind == "Face" {
		return driver.Face
	}
	return driver.Finger
}

// record makes the record of a picture of nobody.
func (s *Service) record(name string, d device, forAuth bool) []byte {
	m := modalityOf(d.kind)
	p, ok := subtype.Position(name, m)
	if !ok {
		panic("no position " + name)
	}
	if s.has(WrongRecord) {
		p = driver.RightThumb
	}
	captured, err := time.Parse(time.RFC3339, Timestamp)
	if err != nil {
		panic(err)
	}
	sample := iso19794.Sample{
		Position: p, Captured: captured, Quality: iso19794.QualityBlock{Score: 80}, Width: 64, Height: 96, DPI: 500, Image: greyLossless,
	}
	profile := iso19794.Registration
	if forAuth {
		profile, sample.Image = iso19794.Auth, greyLossy
	}
	if m == driver.Face {
		sample.Image = colourLossless
	}
	rec, err := iso19794.New(profile, sample)
	if err != nil {
		panic(err)
	}
	b, err := rec.MarshalBinary()
	if err != nil {
		panic(err)
	}
	return b
}

// stream sends three frames.
func (s *Service) stream(w http.ResponseWriter) {
	if s.has(Nothing) {
		reply(w, object{"error": sbiError("110", "The scanner is not ready.")})
		return
	}
	w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=frame")
	for n := range 3 {
		image := fmt.Sprintf("\xFF\xD8frame %d\xFF\xD9", n+1)
		length := len(image)
		if n == 2 && s.has(HalfStream) {
			length += 100
		}
		fmt.Fprintf(w, "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n", length, image)
		w.(http.Flusher).Flush()
	}
}

// TestMain runs tests that need keys: it makes them, sets *keys and takes them
// away again. It returns the exit code.
func TestMain(m *testing.M, keys **Keys) int {
	dir, err := os.MkdirTemp("", "sbitest")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if *keys, err = NewKeys(dir); err != nil {
		panic(err)
	}
	defer (*keys).Close()
	return m.Run()
}
