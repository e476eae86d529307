package usbip

import "testing"

const table = `hub port sta spd dev      sockfd local_busid
hs  0000 006 003 00010001 000003 1-1
hs  0001 004 000 00000000 000000 0-0
ss  0008 004 000 00000000 000000 0-0
`

func TestFreePort(t *testing.T) {
	for name, tt := range map[string]struct {
		status string
		speed  Speed
		want   int // -1: none
	}{
		"full":     {table, Full, 1},
		"high":     {table, High, 1},
		"super":    {table, Super, 8},
		"all used": {table[:85], High, -1},
		"nothing":  {"", Full, -1},
		"nonsense": {"hs x 004 0", Full, -1},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := freePort(tt.status, tt.speed)
			got := p.number
			if err != nil {
				got = -1
			}
			if got != tt.want {
				t.Errorf("port %d, %v; want %d", got, err, tt.want)
			}
		})
	}
}

func TestUsedPort(t *testing.T) {
	used := usedPorts(table)
	if len(used) != 1 || used[port{"hs", 0}] != "1-1" {
		t.Errorf("%v", used)
	}
}

func TestSocketOfAnUnattachedDevice(t *testing.T) {
	_, _, cable := connect(t)
	if id, err := cable.Socket(); err == nil {
		t.Errorf("it is at %s", id)
	}
}
