package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func jpeg(content string) []byte { return []byte("\xFF\xD8" + content + "\xFF\xD9") }

// collect reads a stream to its end.
func collect(r io.Reader) (frames []string, err error) {
	for frame, err := range readFrames(r) {
		if err != nil {
			return frames, err
		}
		frames = append(frames, string(frame))
	}
	return frames, nil
}

func TestReadFrames(t *testing.T) {
	one, two := string(jpeg("one\r\n--b\r\nx")), string(jpeg("two\n"))
	part := func(header, image, tail string) string {
		return header + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(image)) + image + tail
	}
	tests := map[string]struct {
		stream string
		frames int
		err    string
	}{
		"as specified":           {part("--b\r\n", one, "\r\n") + part("--b\r\n", two, "\r\n") + "--b--\r\n", 2, ""},
		"no end mark":            {part("--b\r\n", one, "\r\n") + part("--b\r\n", two, "\r\n"), 2, ""},
		"nothing after an image": {part("--b\r\n", one, ""), 1, ""},
		"MOSIP's mock service": {part("--B\r\nAccess-Control-Allow-Origin:*\r\nContent-Type:image/jpeg\r\n", one, "\r\n\r\n") +
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 1, ""},
		"bare line feeds":         {strings.ReplaceAll(part("--b\r\n", two, "\r\n"), "\r\n", "\n") + part("--b\n", two, "\n"), 2, ""},
		"length in lower case":    {strings.ToLower("--b\r\nCONTENT-LENGTH:") + fmt.Sprint(len(two)) + "\r\n\r\n" + two, 1, ""},
		"preamble":                {"hello\r\n\r\n" + part("--b\r\n", one, "\r\n"), 1, ""},
		"empty":                   {"", 0, ""},
		"half a frame":            {"--b\r\nContent-Length: 100\r\n\r\n\xFF\xD8", 0, "2 bytes into a frame of 100"},
		"half a header":           {part("--b\r\n", one, "\r\n--b\r\nContent-Type: image/jpeg\r\n"), 1, "ends in a frame's header"},
		"no length":               {"--b\r\nContent-Type: image/jpeg\r\n\r\n" + one, 0, "without Content-Length"},
		"negative length":         {"--b\r\nContent-Length: -1\r\n\r\n", 0, "Content-Length is"},
		"zero length":             {"--b\r\nContent-Length: 0\r\n\r\n", 0, "Content-Length is"},
		"huge length":             {"--b\r\nContent-Length: 99999999999999999999\r\n\r\n", 0, "Content-Length is"},
		"length beyond the bound": {fmt.Sprintf("--b\r\nContent-Length: %d\r\n\r\n", frameSize+1), 0, "Content-Length is"},
		"length too short":        {"--b\r\nContent-Length: 5\r\n\r\n" + two + "\r\n--b", 1, "not as long"},
		"length too long":         {"--b\r\nContent-Length: 12\r\n\r\n" + two + "\r\n--b\r\n", 1, "not as long"},
		"not an image":            {part("--b\r\n", "GIF89a", "\r\n"), 0, "not a JPEG"},
		"endless line":            {"--" + strings.Repeat("b", 1<<20), 0, "has no end"},
		"endless header":          {"--b\r\n" + strings.Repeat("X: y\r\n", 1<<16), 0, "more than 64 lines"},
		"endless preamble":        {strings.Repeat("\r\n", 1<<16), 0, "64 lines without a frame"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(tt.stream), iotest.OneByteReader(strings.NewReader(tt.stream))} {
				frames, err := collect(r)
				if len(frames) != tt.frames {
					t.Errorf("got %d frames, want %d", len(frames), tt.frames)
				}
				if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got error %v, want %q", err, tt.err)
				}
			}
		})
	}
	frames, _ := collect(strings.NewReader(tests["as specified"].stream))
	if len(frames) != 2 || frames[0] != one || frames[1] != two {
		t.Errorf("got %q, want %q and %q", frames, one, two)
	}
}

// streamFrames is a service that streams image until the client has gone.
func streamFrames(image []byte, ended chan<- struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=--BoundaryString")
		for {
			if _, err := fmt.Fprintf(w, "--BoundaryString\r\nContent-Length: %d\r\n\r\n%s\r\n", len(image), image); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	}
}

// A consumer that has enough hangs up, and the service notices at once.
func TestStreamConsumerHangsUp(t *testing.T) {
	ended := make(chan struct{})
	port := serve(t, streamFrames(jpeg("x"), ended))
	n := 0
	for frame, err := range New().Stream(t.Context(), port, StreamRequest{}) {
		if err != nil || !bytes.Equal(frame, jpeg("x")) {
			t.Fatalf("got %q, %v", frame, err)
		}
		if n++; n == 3 {
			break
		}
	}
	<-ended
}

// When ctx ends, the stream's last value is its error.
func TestStreamContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	port := serve(t, streamFrames(jpeg("x"), ended))
	var last error
	for _, err := range New().Stream(ctx, port, StreamRequest{}) {
		cancel()
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("got %v", last)
	}
	<-ended
}

// A service that sends nothing at all holds nobody longer than ctx.
func TestStreamSilentService(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	port := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.ReadAll(r.Body) // only then does the server notice the hang-up
		cancel()
		<-r.Context().Done()
	})
	for frame, err := range New().Stream(ctx, port, StreamRequest{}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %q, %v", frame, err)
		}
	}
}

func TestStreamRequest(t *testing.T) {
	var got map[string]any
	port := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "STREAM" || r.URL.Path != "/stream" {
			t.Errorf("got %s %s", r.Method, r.URL.Path)
		}
		json.NewDecoder(r.Body).Decode(&got)
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "no stream")
	})
	for _, err := range New().Stream(t.Context(), port, StreamRequest{DeviceID: "4", SubID: "1", Timeout: 1500 * time.Millisecond}) {
		if err == nil || !strings.Contains(err.Error(), `answered with "text/plain"`) {
			t.Errorf("got %v", err)
		}
	}
	if fmt.Sprint(got) != "map[deviceId:4 deviceSubId:1 timeout:1500]" {
		t.Errorf("sent %v", got)
	}
}

// Frames written as the specification has them come out as they went in, and
// bytes of any kind make neither a panic nor a frame that is not there.
func FuzzReadFrames(f *testing.F) {
	f.Add([]byte("--b\r\nContent-Length: 5\r\n\r\n\xFF\xD8x\xFF\xD9\r\n--b--\r\n"), []byte("image"))
	f.Add([]byte("--b\nContent-Length:4\n\n\xFF\xD8\xFF\xD9\n--b\n"), []byte{})
	f.Fuzz(func(t *testing.T, stream, image []byte) {
		frames, _ := collect(bytes.NewReader(stream))
		for _, frame := range frames {
			if !bytes.Contains(stream, []byte(frame)) {
				t.Errorf("frame %q is not in the stream", frame)
			}
		}
		image = jpeg(string(image))
		part := fmt.Sprintf("--b\r\nContent-Length: %d\r\n\r\n%s\r\n", len(image), image)
		frames, err := collect(strings.NewReader(part + part + "--b--\r\n"))
		if err != nil || len(frames) != 2 || frames[0] != string(image) || frames[1] != string(image) {
			t.Errorf("%q: got %q, %v", image, frames, err)
		}
	})
}
