//go:build !linux

package usbip

import "fmt"

// Attach plugs devices into Linux only.
func Attach(Device) (*Cable, error) {
	return nil, fmt.Errorf("attach usb device: %w: this is no Linux", errNoPort)
}
