package main

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A registrationClient reads a stream as the desktop registration client does:
// byte by byte, with no eye for boundaries.
type registrationClient struct {
	in   io.ByteReader
	read int // bytes
}

func (c *registrationClient) byte() (byte, error) {
	b, err := c.in.ReadByte()
	if err == nil {
		c.read++
	}
	return b, err
}

// next returns a frame with the byte behind it, which the client takes along.
// At the end of the stream the real client spins.
func (c *registrationClient) next() ([]byte, error) {
	var text []byte
	for bytes.Index(text, []byte("Content-Length:")) <= 0 {
		b, err := c.byte()
		if err != nil {
			return nil, err
		}
		text = append(text, b)
	}
	var number []byte
	for {
		b, err := c.byte()
		if err != nil {
			return nil, err
		}
		if b == '\r' || b == '\n' {
			break
		}
		number = append(number, b)
	}
	size, err := strconv.Atoi(strings.ReplaceAll(string(number), " ", ""))
	if err != nil {
		return nil, err
	}
	frame := []byte{0}
	for frame[0] != 0xFF {
		if frame[0], err = c.byte(); err != nil {
			return nil, err
		}
	}
	for range size { // one more than are left of the image
		b, err := c.byte()
		if err != nil {
			return nil, err
		}
		frame = append(frame, b)
	}
	return frame, nil
}

// A toolkitPage reads a stream as the compliance toolkit's page does, in the
// chunks that come from the network.
type toolkitPage struct {
	text  []byte // header text since the last image
	image []byte // what came of an image; nil before it begins
	size  int
	shown [][]byte
}

func (p *toolkitPage) chunk(chunk []byte) {
	for i, b := range chunk {
		switch {
		case b == 0xFF && i+1 < len(chunk) && chunk[i+1] == 0xD8: // in this chunk or never
			if p.image == nil {
				p.size = contentLength(string(p.text))
			}
			p.image = []byte{b}
		case p.image == nil:
			p.text = append(p.text, b)
		case len(p.image) < p.size:
			p.image = append(p.image, b)
		default: // the first byte behind the image shows it, and is lost
			p.shown = append(p.shown, p.image)
			p.image, p.text = nil, nil
		}
	}
}

// contentLength returns the last one in a text, as the page reads it.
func contentLength(text string) int {
	size := 0
	for line := range strings.SplitSeq(text, "\r\n") {
		name, value, found := strings.Cut(line, ":")
		if found && strings.EqualFold(name, "Content-Length") {
			size, _ = strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return size
}

// A recording is a whole stream as it came from the network.
type recording struct {
	head   *http.Response
	chunks [][]byte // of the body
	frames [][]byte // by their lengths
}

func (r recording) body() []byte { return slices.Concat(r.chunks...) }

// record takes the stream of an iris scanner from its first byte to its end,
// which a capture brings about after some frames.
func record(t *testing.T) recording {
	t.Helper()
	s := start(t)
	c := s.dial(s.registration, request("STREAM", s.registration, `{"deviceId":"2","deviceSubId":"3","timeout":"60000"}`))
	var chunks [][]byte
	arrived, ended := make(chan int, 1000), make(chan error, 1)
	go func() {
		for {
			chunk := make([]byte, 64<<10)
			n, err := c.Conn.Read(chunk)
			if n > 0 {
				chunks = append(chunks, chunk[:n])
				arrived <- n
			}
			if err != nil {
				ended <- err
				return
			}
		}
	}()
	for range 20 {
		<-arrived
	}
	s.capture(bothIrises).elements()
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Fatalf("the stream ended with %v", err)
	}
	head, err := http.ReadResponse(newReader(bytes.Join(chunks, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	head.Body.Close()
	r := recording{head: head}
	skip := bytes.Index(bytes.Join(chunks, nil), []byte("\r\n\r\n")) + 4
	for _, chunk := range chunks {
		n := min(skip, len(chunk))
		if skip -= n; n < len(chunk) {
			r.chunks = append(r.chunks, chunk[n:])
		}
	}
	v := &viewer{connection: &connection{t: t}, body: newReader(r.body())}
	r.frames = v.rest()
	if len(r.frames) < 3 {
		t.Fatalf("only %d frames", len(r.frames))
	}
	return r
}

// Every client shows every frame, and none waits for the next one first.
func TestStreamParsers(t *testing.T) {
	t.Parallel()
	r := record(t)
	t.Run("registration client", func(t *testing.T) {
		body := r.body()
		c := &registrationClient{in: bytes.NewReader(body)}
		for i, want := range r.frames {
			got, err := c.next()
			if err != nil {
				t.Fatalf("frame %d: %v", i, err)
			}
			if !bytes.Equal(got, append(slices.Clone(want), '\r')) {
				t.Fatalf("frame %d is another one, %d bytes of %d", i, len(got), len(want)+1)
			}
			if next := bytes.Index(body[c.read:], []byte("--")); next > 1 || next < 0 && c.read != len(body)-1 {
				t.Errorf("frame %d is complete only %d bytes before the next part", i, next)
			}
		}
		if rest, err := c.next(); !errors.Is(err, io.EOF) {
			t.Errorf("after the last frame: %d bytes, %v", len(rest), err)
		}
	})
	t.Run("toolkit page", func(t *testing.T) {
		p := &toolkitPage{}
		for _, chunk := range r.chunks {
			p.chunk(chunk)
		}
		if len(p.shown) != len(r.frames) {
			t.Fatalf("%d frames shown of %d", len(p.shown), len(r.frames))
		}
		for i := range p.shown {
			if !bytes.Equal(p.shown[i], r.frames[i]) {
				t.Fatalf("frame %d is another one", i)
			}
		}
	})
	t.Run("browser", func(t *testing.T) { // an img element
		kind, parameters, err := mime.ParseMediaType(r.head.Header.Get("Content-Type"))
		if err != nil || kind != "multipart/x-mixed-replace" {
			t.Fatalf("%s: %v", kind, err)
		}
		// The last part has no boundary behind it; the stream just ends.
		parts := multipart.NewReader(bytes.NewReader(r.body()), parameters["boundary"])
		for i, want := range r.frames {
			part, err := parts.NextPart()
			if err != nil {
				t.Fatalf("part %d: %v", i, err)
			}
			got, err := io.ReadAll(part)
			if last := i == len(r.frames)-1; err != nil && !last {
				t.Fatalf("part %d: %v", i, err)
			}
			same(t, "type of a part", part.Header.Get("Content-Type"), "image/jpeg")
			if !bytes.Equal(bytes.TrimSuffix(got, []byte("\r\n")), want) {
				t.Fatalf("part %d is another frame", i)
			}
		}
	})
	t.Run("images", func(t *testing.T) {
		for i, frame := range r.frames {
			decodeJPEG(t, frame)
			if !bytes.HasPrefix(frame, []byte{0xFF, 0xD8}) || !bytes.HasSuffix(frame, []byte{0xFF, 0xD9}) || bytes.Count(frame, []byte{0xFF, 0xD8}) != 1 {
				t.Errorf("frame %d begins % x, ends % x, and has a beginning %d times", i, frame[:2], frame[len(frame)-2:], bytes.Count(frame, []byte{0xFF, 0xD8}))
			}
		}
	})
}

// The order of calls of the desktop registration client, for one capture after
// another.
func TestRegistrationClientCaptures(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, sc := range []scene{leftIris, rightIris, bothIrises} {
		for range 3 {
			same(t, "status", statusOf(s, sc), "Ready")
		}
		v := s.openStream(fmt.Sprintf(`{"deviceId":%q,"deviceSubId":%q,"timeout":"10000"}`, sc.device, sc.sub), "Content-Type", "content-type; charset=UTF-8")
		c := &registrationClient{in: v.body}
		frame, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		decodeJPEG(t, frame)
		if _, err := c.byte(); err != nil { // no byte would mean no stream
			t.Fatal(err)
		}
		type seen struct {
			frames int
			err    error
		}
		end := make(chan seen)
		go func() {
			for n := 0; ; n++ {
				if _, err := c.next(); err != nil {
					end <- seen{n, err}
					return
				}
			}
		}()
		all := s.capture(sc, "bio.bioSubType", nil, "bio.previousHash", nil, "bio.requestedScore", "50").elements()
		same(t, "elements", strconv.Itoa(len(all)), sc.count)
		same(t, "status once the answer is there", statusOf(s, sc), "Ready")
		if got := <-end; got.frames == 0 || !errors.Is(got.err, io.EOF) {
			t.Errorf("%d frames during the capture, then %v", got.frames, got.err)
		}
	}
}

func TestStreamEndsAtOnceWhenItsClientCloses(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.control("scanner", `{"type":"Biometric Device","present":false}`)
	for _, sc := range []scene{leftIris, bothIrises} {
		v := s.stream(sc)
		v.frame()
		same(t, "status during the stream", statusOf(s, sc), "Busy")
		begin := time.Now()
		v.close()
		if took := time.Since(begin); took > time.Second {
			t.Errorf("closing took %v", took)
		}
		s.awaitStatus(sc, "Ready")
		if took := time.Since(begin); took > 5*time.Second { // far less, but for a loaded machine
			t.Errorf("Ready %v after the end of the stream", took)
		}
		again := s.stream(sc)
		again.frame()
		again.close()
		s.awaitStatus(sc, "Ready")
	}
}

func TestStreamRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	refused := func(what, url, body, want string) {
		t.Helper()
		resp, text := s.call("STREAM", url+"/stream", body)
		same(t, what, []string{resp.Header.Get("Content-Type"), parse[map[string]map[string]string](t, text)["error"]["errorCode"]}, []string{"application/json", want})
	}
	const iris = `{"deviceId":"2","deviceSubId":"1"}`
	refused("unknown device", s.registration, `{"deviceId":"9","deviceSubId":"1"}`, "106")
	refused("device of the other port", s.registration, `{"deviceId":"4","deviceSubId":"0"}`, "106")
	refused("auth device", s.auth, `{"deviceId":"4","deviceSubId":"0"}`, "500")
	refused("unknown sensor", s.registration, `{"deviceId":"1","deviceSubId":"0"}`, "500")
	s.control("scanner", `{"type":"Iris","plugged":false}`)
	refused("unplugged", s.registration, iris, "110")
	s.control("scanner", `{"type":"Iris","plugged":true}`)
	for fault, code := range map[string]string{"not-ready": "110", "tampered": "103", "removed": "501"} {
		s.control("fault", `{"type":"Iris","fault":"`+fault+`"}`)
		refused(fault, s.registration, iris, code)
	}
	s.control("fault", `{"type":"Iris","fault":""}`)
	for status, code := range map[string]string{"Busy": "111", "Not Ready": "110", "Not Registered": "100"} {
		s.control("status", `{"type":"Iris","deviceStatus":"`+status+`"}`)
		refused(status, s.registration, iris, code)
	}
	s.control("status", `{"type":"Iris","deviceStatus":"Ready"}`)
	v := s.stream(leftIris)
	v.frame()
	v.close()
}

// The person at the scanner reads why the picture stands still.
func TestStreamSaysWhyItEnds(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, trouble := range [][2]string{{"scanner", `{"type":"Iris","plugged":false}`}, {"fault", `{"type":"Iris","fault":"tampered"}`}} {
		v := s.stream(leftIris)
		v.frame()
		s.control(trouble[0], trouble[1])
		frames := v.rest()
		if len(frames) == 0 {
			t.Fatal("no last frame")
		}
		message := decodeJPEG(t, frames[len(frames)-1])
		if !hasText(message) || grey(message, 0, message.Bounds().Dy()/2) < 0xD8 {
			t.Errorf("the last frame after %s is no message", trouble[1])
		}
		s.control("scanner", `{"type":"Iris","plugged":true}`)
		s.control("fault", `{"type":"Iris","fault":""}`)
	}
}

// hasText says whether there is dark text on a white line along the lower edge.
func hasText(img image.Image) bool {
	b := img.Bounds()
	white, dark := 0, 0
	for y := b.Max.Y - 28; y < b.Max.Y-2; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			switch l := grey(img, x, y); {
			case l > 0xF0:
				white++
			case l < 0x60:
				dark++
			}
		}
	}
	return white > 26*b.Dx()/2 && dark > 100
}

func grey(img image.Image, x, y int) uint8 {
	r, g, b, _ := img.At(x, y).RGBA()
	return uint8((r + g + b) / 3 >> 8)
}

// coloured counts pixels that are no grey.
func coloured(img image.Image) int {
	count := 0
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			r, g, bl, _ := img.At(x, y).RGBA()
			if max(r, g, bl)-min(r, g, bl) > 0x3000 {
				count++
			}
		}
	}
	return count
}

// Scanners see in grey, so colour is what was drawn: a mark around each finger
// or eye, and its quality. Where nobody is, advice is written instead.
func TestStreamShowsMarksAndAdvice(t *testing.T) {
	t.Parallel()
	s := start(t, "--frames", pictures(t, "left-index", "left-middle"))
	v := s.stream(leftSlap)
	advised := decodeJPEG(t, v.frame()) // two fingers of four
	if !hasText(advised) {
		t.Error("no advice to place the other fingers")
	}
	v.close()
	drawn := start(t)
	scenes := []scene{leftIris, leftSlap}
	if raceDetector {
		scenes = scenes[:1] // looking at a slap takes seconds
	}
	for _, sc := range scenes {
		v := drawn.stream(sc)
		marked := false
		for range 60 {
			if img := decodeJPEG(t, v.frame()); coloured(img) > 300 {
				marked = true
				break
			}
		}
		if !marked {
			t.Errorf("%s: no marks", sc.kind)
		}
		drawn.control("scanner", `{"type":"Biometric Device","present":false}`)
		plain := false
		for range 60 {
			if img := decodeJPEG(t, v.frame()); coloured(img) == 0 && hasText(img) {
				plain = true
				break
			}
		}
		if !plain {
			t.Errorf("%s: marks without anybody, or no advice", sc.kind)
		}
		drawn.control("scanner", `{"type":"Biometric Device","present":true}`)
		v.close()
	}
}

func TestStreamHasTenFramesASecond(t *testing.T) {
	s := start(t)
	scenes, want := []scene{leftSlap, bothIrises, face}, 10
	if raceDetector {
		scenes, want = scenes[1:2], 1 // looking at a frame takes many times as long
	}
	for _, sc := range scenes {
		v := s.stream(sc)
		for range 10 { // drawn for the first time
			v.frame()
		}
		most := 0
		for try := 0; try < 20 && most < want; try++ { // a loaded machine may be slow
			count := 0
			for begin := time.Now(); time.Since(begin) < time.Second; count++ {
				v.frame()
			}
			most = max(most, count)
		}
		if most < want {
			t.Errorf("%s: at most %d frames in a second", sc.kind, most)
		}
		v.close()
	}
}

// The texts in the picture are in the language of the client.
func TestStreamSpeaksTheClientsLanguage(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.control("scanner", `{"type":"Iris","present":false}`)
	var pictures []image.Image
	for _, language := range []string{"en", "fr"} {
		v := s.openStream(`{"deviceId":"2","deviceSubId":"2"}`, "Accept-Language", language)
		pictures = append(pictures, decodeJPEG(t, v.frame()))
		v.close()
		s.awaitStatus(rightIris, "Ready")
	}
	different := 0
	b := pictures[0].Bounds()
	for y := b.Max.Y - 28; y < b.Max.Y-2; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if d := int(grey(pictures[0], x, y)) - int(grey(pictures[1], x, y)); d < -64 || d > 64 {
				different++
			}
		}
	}
	if different < 100 {
		t.Errorf("the advice is the same in both languages: %d pixels differ", different)
	}
}
