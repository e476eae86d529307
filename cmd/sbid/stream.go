package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"sbid/sbi/client"
)

type streamCmd struct {
	target
	SubID   string        `name:"sub-id" enum:",0,1,2,3" default:"" placeholder:"N" help:"Sensor: 1 left, 2 right, 3 both eyes or both thumbs, 0 what has only one. Default: the only one."`
	Out     string        `required:"" type:"path" placeholder:"DIR" help:"Save the frames in this folder."`
	Frames  int           `placeholder:"N" help:"Stop after so many frames. Default: when the time is over."`
	Timeout time.Duration `default:"10s" help:"How long to stream (${default})."`
	JSON    bool          `name:"json" help:"Print one JSON document."`
}

// streamed is the document of a stream.
type streamed struct {
	Port    int     `json:"port"`
	Device  string  `json:"deviceId"`
	SubID   string  `json:"subId"`
	Frames  int     `json:"frames"`
	Bytes   int     `json:"bytes"`
	Seconds float64 `json:"seconds"`         // from the first frame to the last
	Rate    float64 `json:"framesPerSecond"` // 0 for a single frame
	Out     string  `json:"out"`
}

// Run saves the preview of the first Registration device that is ready.
func (cmd *streamCmd) Run(ctx context.Context, c *console) error {
	c.json = cmd.JSON
	if cmd.Frames < 0 || cmd.Timeout < time.Millisecond {
		return usagef("--frames and --timeout are more than nothing")
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
	c.progress("%s", placeHint(cmd.Type.Modality, sensor))
	doc := streamed{Port: device.Port, Device: device.ID, SubID: subID, Out: cmd.Out}
	if err := cmd.receive(ctx, api, folder, &doc); err != nil {
		return err
	}
	if doc.Frames == 0 {
		return errors.New("the stream ended without a frame")
	}
	return c.result(doc, func(w io.Writer) {
		fmt.Fprintf(w, "%d frames in %.1f s, %.1f a second.\n", doc.Frames, doc.Seconds, doc.Rate)
		fmt.Fprintf(w, "Saved in %s: biometrics, which only you can read.\n", doc.Out)
	})
}

// receive saves the frames of a stream and counts them.
func (cmd *streamCmd) receive(ctx context.Context, api *client.Client, f folder, doc *streamed) error {
	var first time.Time
	request := client.StreamRequest{DeviceID: doc.Device, SubID: doc.SubID, Timeout: cmd.Timeout}
	for frame, err := range api.Stream(ctx, doc.Port, request) {
		if err != nil {
			return err
		}
		if doc.Frames++; doc.Frames == 1 {
			first = time.Now()
		}
		doc.Bytes += len(frame)
		if seconds := time.Since(first).Seconds(); doc.Frames > 1 && seconds > 0 {
			doc.Seconds, doc.Rate = seconds, float64(doc.Frames-1)/seconds
		}
		if err := f.save(fmt.Sprintf("frame-%04d.jpg", doc.Frames), frame); err != nil {
			return err
		}
		if doc.Frames == cmd.Frames {
			return nil
		}
	}
	return nil
}
