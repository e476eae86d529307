package v4l2

import (
	"fmt"
	"image"
	"slices"
	"strings"
	"testing"

	"sbid/driver"
)

func modeOf(format string, width, height int, rate float64) mode {
	return mode{formatNamed(format), image.Pt(width, height), rate}
}

func TestChoose(t *testing.T) {
	hd := []mode{
		modeOf("YUYV", 640, 480, 30), modeOf("YUYV", 1920, 1080, 5), modeOf("MJPG", 640, 480, 30),
		modeOf("MJPG", 1920, 1080, 30), modeOf("MJPG", 3840, 2160, 30), modeOf("GREY", 640, 360, 15),
	}
	for name, tt := range map[string]struct {
		camera Camera
		modes  []mode
		want   mode // without a format: none
	}{
		"a face: large and fast":            {Camera{}, hd, hd[3]},
		"a face: as large as wanted":        {Camera{Width: 3840, Height: 2160}, hd, hd[4]},
		"a face, uncompressed":              {Camera{Format: "yuyv"}, hd, hd[0]},
		"a face, slow will do":              {Camera{Format: "YUYV", Rate: 5}, hd, hd[1]},
		"a face of a grey camera":           {Camera{}, hd[5:], mode{}},
		"a size that is not there":          {Camera{Width: 800, Height: 600}, hd, mode{}},
		"an eye: as large as it gets":       {Camera{Type: "iris"}, hd, hd[4]},
		"an eye: the least compressed":      {Camera{Type: "iris", Width: 640, Height: 480}, hd, hd[0]},
		"an eye by its format":              {Camera{Type: "iris", Format: "GREY"}, hd, hd[5]},
		"only slow ones":                    {Camera{}, hd[1:2], hd[1]},
		"a rate that the camera keeps back": {Camera{}, []mode{modeOf("MJPG", 640, 480, 0)}, modeOf("MJPG", 640, 480, 0)},
		"nothing":                           {Camera{}, nil, mode{}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tt.camera.check(); err != nil {
				t.Fatal(err)
			}
			got, err := tt.camera.choose(tt.modes)
			if got != tt.want || (err != nil) != (tt.want.format == nil) {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

// Which mode is chosen does not hang on the order in which a camera lists them.
func TestChooseIsSteady(t *testing.T) {
	modes := []mode{
		modeOf("YUYV", 640, 480, 30), modeOf("MJPG", 640, 480, 30), modeOf("MJPG", 640, 480, 60), modeOf("MJPG", 480, 640, 30),
	}
	c := Camera{Rate: 10}
	want, err := c.choose(modes)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		modes = append(modes[1:], modes[0])
		if got, _ := c.choose(modes); got.format != want.format || got.rate != want.rate {
			t.Errorf("chose %v, then %v", want, got)
		}
	}
}

func TestNative(t *testing.T) {
	modes := []mode{modeOf("MJPG", 640, 480, 30), modeOf("MJPG", 640, 480, 15), modeOf("YUYV", 320, 240, 30), modeOf("MJPG", 1280, 720, 30)}
	want := []driver.Geometry{{Width: 1280, Height: 720, Depth: 8}, {Width: 640, Height: 480, Depth: 8}}
	if got := native(modes[3], modes); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]Camera{
		"id":             {ID: "46d:825"},
		"type":           {Type: "finger"},
		"eyes":           {Type: "iris", Eyes: "three"},
		"eyes of a face": {Eyes: "both"},
		"format":         {Format: "H264"},
		"grey face":      {Format: "GREY"},
		"width alone":    {Width: 640},
		"huge":           {Width: 100000, Height: 100000},
		"rate":           {Rate: -1},
		"emitter":        {Type: "iris", Emitter: "0103"},
		"emitter in hex": {Type: "iris", Emitter: "on"},
	} {
		if d, err := New(Config{Cameras: []Camera{{}, c}}); err == nil {
			t.Errorf("%s: accepted %+v", name, d.cameras)
		} else if !strings.HasPrefix(err.Error(), "v4l2: camera 2: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(Config{Cameras: []Camera{{ID: "046D:0825", Type: "iris", Eyes: "one", Format: "Y16", Emitter: "010302000000000000"}}}); err != nil {
		t.Error(err)
	}
}

func TestRoles(t *testing.T) {
	for _, tt := range []struct {
		camera   Camera
		modality driver.Modality
		sensors  string
	}{
		{Camera{Type: "face"}, driver.Face, "[0]"},
		{Camera{Type: "iris"}, driver.Iris, "[1 2 3]"},
		{Camera{Type: "iris", Eyes: "one"}, driver.Iris, "[0]"},
	} {
		info := driver.Info{Make: "As it says"}
		tt.camera.Model = "As configured"
		tt.camera.describe(&info)
		if info.Modality != tt.modality || fmt.Sprint(info.Sensors) != tt.sensors || info.Make != "As it says" || info.Model != "As configured" {
			t.Errorf("%+v became %+v", tt.camera, info)
		}
	}
}
