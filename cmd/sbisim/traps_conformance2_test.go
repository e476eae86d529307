package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sbid/attest"
	"sbid/capture/imagecodec"
	"sbid/capture/iso19794"
)

func TestToolkit19OnlyASecondCaptureIsBusy(t *testing.T) {
	t.Parallel()
	s := start(t)
	stream := s.stream(leftIris)
	stream.frame()
	if code := s.capture(leftIris).biometrics()[0]["error"].(object)["errorCode"]; code != "0" {
		t.Errorf("capture during the stream of the same sensor: error %v", code)
	}
	stream.close()

	s.control("scanner", `{"type":"Iris","present":false}`)
	first := s.begin(leftIris)
	s.awaitStatus(leftIris, "Busy")
	_, body := s.call("RCAPTURE", s.registration+"/capture", rightIris.request())
	answer{t: t, body: body}.wantCode("a second capture", "111")
	first.hangUp()
}

func TestToolkit20LevelIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	s := idle(t)
	for url, want := range map[string]struct {
		level string
		id    attest.Domain
	}{s.registration: {"L0", attest.DomainDevice}, s.auth: {"L1", attest.DomainFTM}} {
		for _, d := range s.discover(url, "Biometric Device") {
			same(t, "level in discovery", d["certification"], any(want.level))
		}
		for _, entry := range s.info(url) {
			info := readToken(t, entry["deviceInfo"].(string))
			same(t, "level in info", info.text("certification"), want.level)
			for domain, k := range map[attest.Domain]token{attest.DomainDevice: info, want.id: readToken(t, info.text("digitalId"))} {
				if err := s.trusts(domain, k); err != nil {
					t.Errorf("%s: %v", want.level, err)
				}
			}
		}
	}
	for _, shot := range taken {
		a := shot(t)
		for _, b := range a.elements() {
			domain := attest.DomainDevice
			if b.data.payload["purpose"] == "Auth" {
				domain = attest.DomainFTM
			}
			if err := a.sim.trusts(attest.DomainDevice, b.data); err != nil {
				t.Error(err)
			}
			if err := a.sim.trusts(domain, b.id); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestToolkit21CertificatesNameTheOrganisation(t *testing.T) {
	t.Parallel()
	s := awkward(t)
	for _, url := range s.endpoints() {
		for _, entry := range s.info(url) {
			cert := readToken(t, entry["deviceInfo"].(string)).signed.Leaf()
			same(t, "O of who signed deviceInfo", attest.Organisation(cert), awkwardName)
		}
	}
	b := s.capture(leftIris).elements()[0]
	same(t, "O of who signed data", attest.Organisation(b.data.signed.Leaf()), awkwardName)
}

// Decrypting checks that the thumbprint's certificate is the one that was used.
func TestToolkit22EncryptionCertificateCanBeChosen(t *testing.T) {
	t.Parallel()
	for _, shot := range takenAuth {
		a := shot(t)
		certs, err := attest.ReadCertificates(filepath.Join(a.sim.state, "trust", "encryption.pem"))
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256(certs[0].Raw)
		for _, b := range a.elements() {
			same(t, "thumbprint", b.wire["thumbprint"].(string), strings.ToUpper(hex.EncodeToString(digest[:])))
		}
	}
	key, file, cert := encryptionCertificate(t, time.Hour)
	s := start(t, "--encryption-certificate", file)
	a := s.capture(authIris)
	wire := a.biometrics()[0]
	digest := sha256.Sum256(cert.Raw)
	same(t, "thumbprint", wire["thumbprint"].(string), strings.ToUpper(hex.EncodeToString(digest[:])))
	data := readToken(t, wire["data"].(string))
	value, err := base64.RawURLEncoding.DecodeString(data.text("bioValue"))
	if err != nil {
		t.Fatal(err)
	}
	if record := decryptWith(t, key, wire, data, value); !bytes.HasPrefix(record, []byte("IIR\x00")) {
		t.Errorf("decrypted to % x", record[:8])
	}
}

// records returns the records of captures with what they were made for.
func records(t *testing.T, shots []func(testing.TB) answer) map[iso19794.Record]iso19794.Profile {
	t.Helper()
	all := map[iso19794.Record]iso19794.Profile{}
	for _, shot := range shots {
		for _, b := range shot(t).elements() {
			record, err := iso19794.Decode(b.record)
			if err != nil {
				t.Fatal(err)
			}
			all[record] = iso19794.Registration
			if b.data.payload["purpose"] == "Auth" {
				all[record] = iso19794.Auth
			}
		}
	}
	return all
}

func TestToolkit23RegistrationIrisIsCropped(t *testing.T) {
	t.Parallel()
	for _, b := range takenIrises(t).elements() {
		record, err := iso19794.DecodeIris(b.record)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "image type", record.Kind, 3)
	}
}

func TestToolkit24FaceFeatureMaskIsZero(t *testing.T) {
	t.Parallel()
	for _, shot := range []func(testing.TB) answer{takenFace, takenAuthFace} {
		for _, b := range shot(t).elements() {
			record, err := iso19794.DecodeFace(b.record)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "feature mask", record.Properties, 0)
		}
	}
}

func TestToolkit25ImagesAreJP2FilesWithEnumeratedColour(t *testing.T) {
	t.Parallel()
	for record, profile := range records(t, taken) {
		file := record.Image()
		if !bytes.HasPrefix(file, []byte("\x00\x00\x00\x0CjP  \r\n\x87\n")) {
			t.Fatalf("%s image begins with % x", record.Format(), file[:12])
		}
		colour := bytes.Index(file, []byte("colr"))
		if colour < 0 || file[colour+4] != 1 {
			t.Fatalf("%s image has no enumerated colour space", record.Format())
		}
		want := uint32(17)
		if record.Format() == iso19794.FormatFace {
			want = 16
		}
		same(t, record.Format()+" colour space", binary.BigEndian.Uint32(file[colour+7:]), want)
		_, info, err := imagecodec.DecodeJP2(file)
		if err != nil {
			t.Fatal(err)
		}
		same(t, profile.String()+" "+record.Format()+" is lossless", info.Reversible, profile == iso19794.Registration)
		width, height := record.Size()
		same(t, "size", [2]int{info.Width, info.Height}, [2]int{width, height})
	}
}

func TestToolkit26VendorZeroHasTypeZero(t *testing.T) {
	t.Parallel()
	for record := range records(t, taken) {
		var c iso19794.Capture
		switch r := record.(type) {
		case *iso19794.Finger:
			c = r.Capture
		case *iso19794.Iris:
			c = r.Capture
		case *iso19794.Face:
			c = r.Capture
		}
		if c.DeviceVendor == 0 && c.DeviceType != 0 {
			t.Errorf("%s: device type %d of no vendor", record.Format(), c.DeviceType)
		}
	}
}

func subTypes(all []biometric) []string {
	var out []string
	for _, b := range all {
		out = append(out, b.subType)
	}
	return out
}

func TestToolkit27ExceptedPartIsNeverReturned(t *testing.T) {
	t.Parallel()
	s := shared(t)
	all := s.capture(leftSlap, "bio.count", "3", "bio.exception", []string{"Left RingFinger"},
		"bio.bioSubType", []string{"Left IndexFinger", "Left MiddleFinger", "Left LittleFinger"}).elements()
	same(t, "fingers", subTypes(all), []string{"Left IndexFinger", "Left MiddleFinger", "Left LittleFinger"})
	same(t, "eyes", subTypes(s.capture(bothIrises, "bio.count", "1", "bio.exception", []string{"Left"}).elements()), []string{"Right"})
	s.capture(thumbs, "bio.count", "0", "bio.exception", []string{"Right Thumb", "Left Thumb"}).wantCode("no thumbs", "101")
	s.capture(bothIrises, "bio.count", "0", "bio.exception", []string{"Left", "Right"}).wantCode("no eyes", "101")
}

func TestToolkit28WithoutSubTypesTheSensorSaysWhatToTake(t *testing.T) {
	t.Parallel()
	same(t, "fingers", subTypes(takenSlap(t).elements()), []string{"Left IndexFinger", "Left MiddleFinger", "Left RingFinger", "Left LittleFinger"})
	for _, none := range []any{nil, absent{}, []string{}} {
		all := shared(t).capture(bothIrises, "bio.bioSubType", none).elements()
		same(t, "eyes", subTypes(all), []string{"Left", "Right"})
	}
}

func TestToolkit29RepeatedUnknownIsNotMerged(t *testing.T) {
	t.Parallel()
	same(t, "fingers", subTypes(takenTwoFingers(t).elements()), []string{"UNKNOWN", "UNKNOWN"})
}

func TestToolkit30MissingMemberIsAnErrorElement(t *testing.T) {
	t.Parallel()
	s := deserted(t)
	for _, sc := range []scene{leftSlap, authFinger} {
		for _, name := range []string{"env", "timeout", "specVersion", "purpose", "bio", "bio.count", "bio.deviceSubId"} {
			s.capture(sc, name, absent{}).wantCode("without "+name, "500")
		}
		s.capture(sc, "newUnknownValue", "x", "bio.newUnknownValue", "x", "timeout", "1").wantCode("with a member that nobody knows", "101")
	}
}

func TestToolkit31StreamRequestIsTextWithoutTimeout(t *testing.T) {
	t.Parallel()
	s := start(t)
	stream := s.openStream(`{"deviceId":"2","deviceSubId":"1"}`, "Content-Type", "text/plain")
	stream.frame()
	stream.close()
}

func TestToolkit32InfoIgnoresItsBody(t *testing.T) {
	t.Parallel()
	s := idle(t)
	_, want := s.call("MOSIPDINFO", s.registration+"/info", nil)
	for _, body := range []string{`{}`, `{"type":"Finger"}`, `null`, `[1,`, "\xff"} {
		if _, got := s.call("MOSIPDINFO", s.registration+"/info", body, "Content-Type", "application/json"); !bytes.Equal(got, want) {
			t.Errorf("body %q: another answer", body)
		}
	}
}

// The toolkit's schemas look at the first element only.
func TestToolkit33EveryElementIsWhole(t *testing.T) {
	t.Parallel()
	for _, shot := range taken {
		a := shot(t)
		all := a.elements()
		for i, b := range all {
			same(t, "specVersion", b.wire["specVersion"], any("0.9.5"))
			same(t, "transactionId", b.data.payload["transactionId"], a.request["transactionId"])
			same(t, "purpose", b.data.payload["purpose"], a.request["purpose"])
			same(t, "type in the digital id", b.id.payload["type"], b.data.payload["bioType"])
			same(t, "serial number", b.data.payload["deviceCode"], b.id.payload["serialNo"])
			for _, name := range []string{"qualityScore", "requestedScore"} {
				if !scorePattern.MatchString(b.data.text(name)) {
					t.Errorf("element %d: %s %q", i, name, b.data.text(name))
				}
			}
			if !upperHexHash.MatchString(b.wire["hash"].(string)) {
				t.Errorf("element %d: hash %v", i, b.wire["hash"])
			}
			if len(b.record) == 0 || b.data.text("deviceServiceVersion") == "" {
				t.Errorf("element %d lacks record or version", i)
			}
		}
	}
}

func TestToolkit34ScoresAreShortDecimals(t *testing.T) {
	t.Parallel()
	for asked, want := range map[any]string{"0": "0", "07": "7", "1.04": "1", 1.25: "1.3", "0.5": "0.5"} {
		b := shared(t).capture(leftIris, "bio.requestedScore", asked).elements()[0]
		same(t, "requestedScore", b.data.text("requestedScore"), want)
		quality, err := strconv.ParseFloat(b.data.text("qualityScore"), 64)
		if err != nil || quality < 0 || quality > 100 {
			t.Errorf("qualityScore %s", b.data.text("qualityScore"))
		}
	}
	for _, asked := range []string{"-1", "101", "100.1", "NaN", "Inf", "high"} {
		deserted(t).capture(leftIris, "bio.requestedScore", asked).wantCode("score "+asked, "500")
	}
}

func TestToolkit35SuccessIsNeverTranslated(t *testing.T) {
	t.Parallel()
	s := idle(t)
	french := []string{"Accept-Language", "fr-FR,fr;q=0.9"}
	want := object{"errorCode": "0", "errorInfo": "Success"}
	for _, call := range [][2]string{{"MOSIPDISC", "/device"}, {"MOSIPDINFO", "/info"}} {
		_, body := s.call(call[0], s.registration+call[1], nil, french...)
		for _, entry := range parse[[]object](t, body) {
			same(t, "error", entry["error"].(object), want)
		}
	}
	wire := shared(t).captureAs(french, leftIris).biometrics()[0]
	same(t, "error", wire["error"].(object), want)
	for _, d := range s.discover(s.registration, "Finger") {
		same(t, "status", d["deviceStatus"], any("Ready"))
	}
}

func TestToolkit36ResponseHeaders(t *testing.T) {
	t.Parallel()
	s := idle(t)
	for _, url := range s.endpoints() {
		for _, call := range [][2]string{{"MOSIPDISC", "/device"}, {"MOSIPDINFO", "/info"}, {"CAPTURE", "/capture"}, {"RCAPTURE", "/capture"}, {"STREAM", "/stream"}} {
			resp, body := s.call(call[0], url+call[1], nil)
			same(t, call[0]+" header fields", []string{
				resp.Header.Get("Cache-Control"), resp.Header.Get("Location"), resp.Header.Get("Content-Type"), resp.Header.Get("Content-Length"),
			}, []string{"no-store", url, "application/json", strconv.Itoa(len(body))})
			if !resp.Close {
				t.Errorf("%s: the connection is kept", call[0])
			}
		}
	}
}
