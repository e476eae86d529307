package main

// A serialCmd starts the twin of a module on a serial line.
type serialCmd struct {
	Device string  `required:"" placeholder:"MODEL" enum:"r503,zfm,gt511c3,gt511c1r" help:"What hangs on the line: r503, zfm, gt511c3 or gt511c1r."`
	Link   string  `required:"" placeholder:"PATH" help:"Where drivers find it: a link to be made, like /tmp/r503."`
	Pace   float64 `default:"1" help:"Speed of the line, relative to a real one's. 0: as fast as it goes."`

	rhythm
}
