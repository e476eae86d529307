package inventory

import (
	"slices"
	"strings"

	"sbid/driver"
)

// identify returns the unit that each scanner of a look is, in the order of
// infos. A unit that is new has no scanner yet; nil is an address that the
// driver lists twice. The caller holds f.mu.
func (f *follower) identify(infos []driver.Info) []*unit {
	found := make([]*unit, len(infos))
	taken := map[string]bool{} // by id
	serials := map[string]int{}
	addrs := map[string]bool{}
	for i, info := range infos {
		serials[info.Serial]++
		// Who is where they were are who they were.
		for _, u := range f.units {
			if was := u.info; !taken[u.id] && was.Addr == info.Addr && was.Serial == info.Serial && was.Path == info.Path {
				found[i], taken[u.id] = u, true
				break
			}
		}
	}
	for i, info := range infos {
		if found[i] == nil && !addrs[info.Addr] {
			found[i] = f.identity(info, serials[info.Serial] == 1, taken)
			taken[found[i].id] = true
		}
		addrs[info.Addr] = true
	}
	return found
}

// identity returns the unit that a scanner at a new place is: the one with its
// serial number, if it is the only one with that; else the one that was in its
// socket; and if there is no telling sockets apart, one of its model that has
// gone. taken are the ids of others.
func (f *follower) identity(info driver.Info, unique bool, taken map[string]bool) *unit {
	drv := f.drv.ID()
	var ids []string
	if unique && telling(info.Serial) {
		ids = append(ids, drv+":"+info.Serial)
	}
	if info.Path != "" {
		ids = append(ids, drv+"@"+info.Path)
	}
	for _, id := range ids {
		if taken[id] {
			continue
		}
		if u := f.unit(id); u != nil {
			return u
		}
		return &unit{id: id}
	}
	for _, u := range f.units {
		if u.nameless && !u.present && !taken[u.id] && u.info.Make == info.Make && u.info.Model == info.Model {
			return u
		}
	}
	id := drv + "@" + info.Addr
	for taken[id] || f.unit(id) != nil {
		id += "'" // it has moved, and another is where it was
	}
	return &unit{id: id, nameless: true}
}

func (f *follower) unit(id string) *unit {
	if i := slices.IndexFunc(f.units, func(u *unit) bool { return u.id == id }); i >= 0 {
		return f.units[i]
	}
	return nil
}

// placeholders are serial numbers of makers who give none.
var placeholders = []string{"none", "null", "unknown", "default", "serial", "serialnumber", "n/a", "tobefilledbyo.e.m."}

// telling says whether a serial number can be one unit's own. Some makers give
// all of a kind the same: zeros, letters in a row, words.
func telling(serial string) bool {
	if len(serial) < 4 || len(serial) > 64 {
		return false
	}
	rising, same := true, true
	for i := range len(serial) {
		if serial[i] <= ' ' || serial[i] > '~' {
			return false
		}
		if i > 0 {
			same = same && serial[i] == serial[0]
			step := serial[i] - serial[i-1]
			rising = rising && (step == 1 || serial[i-1] == '9' && (serial[i] == '0' || serial[i] == 'A' || serial[i] == 'a'))
		}
	}
	return !rising && !same && !slices.Contains(placeholders, strings.ToLower(serial))
}
