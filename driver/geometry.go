package driver

// A Geometry describes an image as the sensor took it, before a driver
// resampled it. An image brought to 500 pixels per inch from another rate is
// not a 500 pixels per inch capture, and certification tells them apart.
type Geometry struct {
	Width, Height int // pixels
	DPI           int // pixels per inch along both axes; 0 is unknown
	Depth         int // bits per pixel on the wire
}
