package zfm

import "fmt"

// Instructions: the first byte of a command.
const (
	genImg       = 0x01 // take a picture into the image buffer
	upImage      = 0x0A // send the image buffer
	setSysPara   = 0x0E
	readSysPara  = 0x0F
	vfyPwd       = 0x13
	cancel       = 0x30 // R503
	auraLED      = 0x35 // R503
	checkSensor  = 0x36 // R503
	getFwVer     = 0x3A // R503
	readProdInfo = 0x3C // R503
	ledOn        = 0x50 // some optical modules
	ledOff       = 0x51
)

// Registers of setSysPara.
const (
	registerBaud       = 4
	registerPacketSize = 6
)

// A code is the module's answer to a command: the first byte of an answer.
type code byte

const (
	codeOK            code = 0x00
	codeNotReceived   code = 0x01
	codeNoFinger      code = 0x02
	codeNotCaptured   code = 0x03
	codeTooDry        code = 0x04
	codeTooWet        code = 0x05
	codeDisordered    code = 0x06
	codeFewFeatures   code = 0x07
	codeNoImageSent   code = 0x0F
	codeWrongPassword code = 0x13
	codeNoImage       code = 0x15
	codeWrongAddress  code = 0x20
	codePasswordFirst code = 0x21
	codeTimeout       code = 0x26
	codeSensorFault   code = 0x29
	codeUnsupported   code = 0xFC
	codeHardware      code = 0xFD
	codeFailed        code = 0xFE
)

var codeTexts = map[code]string{
	codeNotReceived:   "packet not received",
	codeNoFinger:      "no finger",
	codeNotCaptured:   "capture failed",
	codeTooDry:        "image too faint",
	codeTooWet:        "image too smudged",
	codeDisordered:    "image too disordered",
	codeFewFeatures:   "too few features",
	codeNoImageSent:   "cannot send the image",
	codeWrongPassword: "wrong password",
	codeNoImage:       "no valid image",
	codeWrongAddress:  "wrong address",
	codePasswordFirst: "password must be verified first",
	codeTimeout:       "timeout",
	codeSensorFault:   "sensor fault",
	codeUnsupported:   "unsupported command",
	codeHardware:      "hardware error",
	codeFailed:        "execution failed",
}

// Error says what the module refused.
func (c code) Error() string {
	if text, ok := codeTexts[c]; ok {
		return "module answers: " + text
	}
	return fmt.Sprintf("module answers: code %02X", byte(c))
}

// again reports whether the same command may succeed a moment later: the person
// has to place the finger, or to place it better.
func (c code) again() bool {
	switch c {
	case codeNoFinger, codeNotCaptured, codeTooDry, codeTooWet, codeDisordered, codeFewFeatures, codeTimeout:
		return true
	}
	return false
}
