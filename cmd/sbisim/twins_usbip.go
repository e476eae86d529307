package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"sbid/simulator/usb"
	"sbid/simulator/usbip"
	"sbid/simulator/uvc"
)

// A usbipCmd starts twins of scanners on USB.
type usbipCmd struct {
	Listen string   `default:"127.0.0.1:3240" placeholder:"HOST:PORT" help:"Where usbip clients find the scanners. Everybody who reaches it can take them; there is no password."`
	Device []string `default:"uru4500" placeholder:"MODEL" enum:"uru4500,uru-v2,nb1010,camera" help:"What to plug in: uru4500, uru-v2, nb1010 or camera. May be repeated."`
	Attach bool     `help:"Plug the scanners into this machine instead. Linux only; takes root and the kernel module vhci_hcd."`

	rhythm
}

// A usbTwin is a twin on USB, which is plugged in.
type usbTwin interface {
	window
	Close()
}

// usbModels are the scanners that can be plugged in. number counts those of one
// kind from 1.
var usbModels = map[string]struct {
	name  string
	face  bool
	start func(socket usb.Socket, number int) (usbTwin, error)
}{
	"uru4500": {"U.are.U 4500 (05ba:000a)", false, func(socket usb.Socket, _ int) (usbTwin, error) {
		return usb.StartURU4000(socket, usb.URU4000{Interval: uruInterval})
	}},
	"uru-v2": {"Microsoft Fingerprint Reader v2 (045e:00ca)", false, func(socket usb.Socket, _ int) (usbTwin, error) {
		return usb.StartURU4000(socket, usb.URU4000{V2: true, Interval: uruInterval})
	}},
	"nb1010": {"NEXT Biometrics NB-1010-U (298d:1010)", false, func(socket usb.Socket, _ int) (usbTwin, error) {
		return usb.StartNB1010(socket, usb.NB1010{})
	}},
	"camera": {"UVC camera (1209:0003)", true, func(socket usb.Socket, number int) (usbTwin, error) {
		return uvc.StartAt(socket, uvc.Camera{
			Serial: fmt.Sprintf("0000000000C%d", number),
			Modes:  []uvc.Mode{{Format: "MJPG", Width: 960, Height: 720}}, // as the person's face is drawn
		})
	}},
}

// uruInterval is the time that a U.are.U takes for a picture.
const uruInterval = 130 * time.Millisecond

func (c *usbipCmd) run(ctx context.Context, stdout io.Writer) error {
	if c.Attach {
		return c.attach(ctx, stdout)
	}
	return c.serve(ctx, stdout)
}

// serve exports the scanners to clients of USB/IP.
func (c *usbipCmd) serve(ctx context.Context, stdout io.Writer) error {
	var devices []usbip.Device
	// Serve holds the other end of the cable, from client to client.
	twins, err := c.start(func(d usbip.Device) (*usbip.Cable, error) {
		devices = append(devices, d)
		return nil, nil
	})
	defer closeAll(twins)
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("%w; choose another address with --listen", err)
	}
	for i, kind := range c.Device {
		fmt.Fprintf(stdout, "%s: %s attach -r %s -b 1-%d\n", usbModels[kind].name, client(ln), host(ln), i+1)
	}
	return c.while(ctx, twins, func(ctx context.Context) error { return usbip.Serve(ctx, ln, devices...) })
}

// client is how to call the stock client.
func client(ln net.Listener) string {
	if _, port, err := net.SplitHostPort(ln.Addr().String()); err == nil && port != "3240" {
		return "usbip --tcp-port " + port
	}
	return "usbip"
}

// host is where a client on this machine finds the listener.
func host(ln net.Listener) string {
	tcp, ok := ln.Addr().(*net.TCPAddr)
	if !ok || tcp.IP.IsUnspecified() {
		return "127.0.0.1"
	}
	return tcp.IP.String()
}

// attach plugs the scanners into this machine's kernel.
func (c *usbipCmd) attach(ctx context.Context, stdout io.Writer) error {
	var cables []*usbip.Cable
	twins, err := c.start(func(d usbip.Device) (*usbip.Cable, error) {
		cable, err := usbip.Attach(d)
		if err == nil {
			cables = append(cables, cable)
		}
		return cable, err
	})
	defer closeAll(twins)
	if err != nil {
		return fmt.Errorf("%w; as root, run modprobe vhci_hcd, or leave --attach out and run, "+
			"on the machine that shall have the scanners: usbip attach -r HOST -b 1-1", err)
	}
	for i, kind := range c.Device {
		socket, err := cables[i].Socket()
		if err != nil {
			return fmt.Errorf("%s: %w", usbModels[kind].name, err)
		}
		fmt.Fprintf(stdout, "%s: plugged in at usb:%s\n", usbModels[kind].name, socket)
	}
	return c.while(ctx, twins, func(ctx context.Context) error {
		<-ctx.Done()
		return nil
	})
}

// start plugs in what was asked for. When it fails, what it returns was plugged in
// before.
func (c *usbipCmd) start(socket usb.Socket) ([]usbTwin, error) {
	var twins []usbTwin
	number := map[string]int{}
	for _, kind := range c.Device {
		number[kind]++
		twin, err := usbModels[kind].start(socket, number[kind])
		if err != nil {
			return twins, fmt.Errorf("%s: %w", usbModels[kind].name, err)
		}
		twins = append(twins, twin)
	}
	return twins, nil
}

func closeAll(twins []usbTwin) {
	for _, t := range twins {
		t.Close()
	}
}

// while plays to the twins while f runs.
func (c *usbipCmd) while(ctx context.Context, twins []usbTwin, f func(context.Context) error) error {
	var fingers, faces []window
	for i, t := range twins {
		if usbModels[c.Device[i]].face {
			faces = append(faces, t)
		} else {
			fingers = append(fingers, t)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	var player sync.WaitGroup
	player.Go(func() { c.play(ctx, fingers, faces) })
	defer player.Wait()
	defer cancel()
	return f(ctx)
}
