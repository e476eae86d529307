package inventory

import (
	"slices"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"sbid/driver"
)

// ids returns the ids of the scanners that are plugged in, by address.
func ids(inv *Inventory) map[string]string {
	synctest.Wait()
	found := map[string]string{}
	for _, e := range inv.Snapshot().Scanners {
		if e.Trouble == nil {
			found[e.Info.Addr] = e.ID
		}
	}
	return found
}

// Who is who: by serial number where that tells, by socket where it does not.
func TestIdentity(t *testing.T) {
	for name, tt := range map[string]struct {
		infos []driver.Info
		want  map[string]string
	}{
		"serial numbers": {
			[]driver.Info{reader("1", "A-17", "usb:1"), reader("2", "A-18", "usb:2")},
			map[string]string{"1": "fake:A-17", "2": "fake:A-18"},
		},
		"one number for all": {
			[]driver.Info{reader("1", "A-17", "usb:1"), reader("2", "A-17", "usb:2")},
			map[string]string{"1": "fake@usb:1", "2": "fake@usb:2"},
		},
		"no number": {
			[]driver.Info{reader("1", "", "usb:1"), reader("2", "0000000", "usb:2")},
			map[string]string{"1": "fake@usb:1", "2": "fake@usb:2"},
		},
		"neither number nor socket": {
			[]driver.Info{reader("1", "", ""), reader("2", "12345678", "")},
			map[string]string{"1": "fake@1", "2": "fake@2"},
		},
		"one address twice": {
			[]driver.Info{reader("1", "A-17", ""), reader("1", "A-18", "")},
			map[string]string{"1": "fake:A-17"},
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			inv, _ := start(t, aware{newFake("fake", tt.infos...)})
			got := ids(inv)
			if len(got) != len(tt.want) {
				t.Errorf("%s: %v, want %v", name, got, tt.want)
			}
			for addr, id := range tt.want {
				if got[addr] != id {
					t.Errorf("%s: %v, want %v", name, got, tt.want)
				}
			}
		})
	}
}

// A second scanner with the same number does not take the first one's name, and
// each in its own socket is who it was after a restart of either.
func TestEqualScanners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := reader("1", "A-17", "usb:1"), reader("2", "A-17", "usb:2")
		f := newFake("fake", a)
		inv, _ := start(t, aware{f})
		f.plug(a, b)
		both := ids(inv)
		if both["1"] != "fake:A-17" || both["2"] != "fake@usb:2" {
			t.Errorf("%v", both)
		}
		f.plug()
		synctest.Wait()
		a.Addr, b.Addr = "3", "4"
		f.plug(b, a)
		if again := ids(inv); again["4"] != "fake@usb:2" || again["3"] == again["4"] || again["3"] == "" {
			t.Errorf("%v, and then %v", both, again)
		}
	})
}

func TestTellingSerials(t *testing.T) {
	for serial, want := range map[string]bool{
		"{6E7A2BF5-ABD5-4B4F-8CD8-2F4D55B58A1C}": true, "SIM0A1B2C3D4E5F": true, "A-17": true, "10000001": true,
		"": false, "17": false, "0000000000": false, "FFFFFFFF": false, "123456789": false, "1234567890": false,
		"0123456789ABCDEF": false, "Unknown": false, "none": false, "a b c d": false, "\x00\x01\x02\x03": false,
	} {
		if got := telling(serial); got != want {
			t.Errorf("%q: %v, want %v", serial, got, want)
		}
	}
}

// Whatever is plugged where and in which order: two scanners never have one
// name, and one that nobody touched keeps its own.
func TestNamesAreDistinctAndLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFollower(newFake("fake"), func([]Change) {})
		before := map[string]string{}
		info := rapid.Custom(func(t *rapid.T) driver.Info {
			return reader(
				rapid.SampledFrom([]string{"1", "2", "3", "4"}).Draw(t, "addr"),
				rapid.SampledFrom([]string{"", "A-17", "B-18", "0000"}).Draw(t, "serial"),
				rapid.SampledFrom([]string{"", "usb:1", "usb:2"}).Draw(t, "path"),
			)
		})
		key := func(i driver.Info) string { return i.Addr + "|" + i.Serial + "|" + i.Path }
		for range 6 {
			infos := rapid.SliceOfNDistinct(info, 0, 4, func(i driver.Info) string { return i.Addr }).Draw(t, "plugged")
			f.take(look{infos: infos})
			var names []string
			now := map[string]string{}
			for _, u := range f.units {
				if u.present {
					names = append(names, u.id)
					now[key(u.info)] = u.id
				}
			}
			slices.Sort(names)
			if len(names) != len(infos) || len(slices.Compact(names)) != len(infos) {
				t.Fatalf("%d scanners are called %v", len(infos), names)
			}
			for k, id := range now {
				if was, ok := before[k]; ok && was != id {
					t.Fatalf("%s was %s and is %s", k, was, id)
				}
			}
			before = now
		}
	})
}
