package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"sbid/cmd/sbid/internal/control"
)

// Host looks at the machine around the service: clock, disk, state folder and
// the ports of which the service wants the first. own says which ports are the
// service's own.
func Host(ctx context.Context, state string, first, last int, own []int, now time.Time) []Finding {
	findings := []Finding{clock(now)}
	findings = append(findings, folder(state)...)
	findings = append(findings, belongs(state, len(own) > 0)...)
	return append(findings, ports(ctx, first, last, own)...)
}

// clock: certificates and signatures are worth what the clock is.
func clock(now time.Time) Finding {
	const advice = "set the time, and switch on automatic time: timedatectl set-ntp true"
	if built := buildTime(); now.Before(built) {
		return Finding{
			Fault, "clock", fmt.Sprintf("it is said to be %s, and this program was made on %s", now.Format(time.DateOnly), built.Format(time.DateOnly)),
			advice,
		}
	}
	synchronised, known := clockSynchronised()
	text := now.UTC().Format("2006-01-02 15:04:05 UTC")
	switch {
	case !known:
		return Finding{Note, "clock", text, ""}
	case !synchronised:
		return Finding{Warning, "clock", text + ", not synchronised: clients refuse what is five minutes off", advice}
	}
	return Finding{OK, "clock", text + ", synchronised", ""}
}

// buildTime returns when the source of this program was committed; zero if it
// does not know.
func buildTime() time.Time {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			t, err := time.Parse(time.RFC3339, s.Value)
			if err == nil {
				return t
			}
		}
	}
	return time.Time{}
}

const enough = 64 << 20 // bytes of disk: years of the audit log

func folder(state string) []Finding {
	info, err := os.Stat(state)
	if errors.Is(err, fs.ErrNotExist) {
		return []Finding{{Note, "state", state + " is not there yet", "sbid run or sbid provision makes it"}}
	}
	if err != nil {
		return []Finding{{Fault, "state", fmt.Sprintf("look at the state folder: %v", err), "run this as root or as the service's user"}}
	}
	var findings []Finding
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		findings = append(findings, Finding{
			Warning, "state", fmt.Sprintf("other users can look into %s (mode %04o)", state, info.Mode().Perm()), "chmod 700 " + state,
		})
	}
	if free, known := freeSpace(state); known && free < enough {
		findings = append(findings, Finding{
			Warning, "disk", fmt.Sprintf("%d MB are free for %s", free>>20, state), fmt.Sprintf("make room: %d MB at least", enough>>20),
		})
	}
	return findings
}

// belongs warns of a state folder whose owner is not the user who works in it:
// files that one of them makes cannot be read by the other.
func belongs(state string, running bool) []Finding {
	of, known := owner(state)
	user := os.Geteuid()
	if running { // the socket belongs to whom the service runs as
		uid, found := owner(control.Path(state))
		user, known = uid, known && found
	}
	if !known || of == user {
		return nil
	}
	return []Finding{{
		Warning, "state", fmt.Sprintf("%s belongs to user %d, and user %d works in it", state, of, user),
		fmt.Sprintf("run sbid as user %d, or give the folder away: chown -R %d %s", of, user, state),
	}}
}

// ports says who holds those that come before the service's own: clients may
// look at the first ones only.
func ports(ctx context.Context, first, last int, own []int) []Finding {
	var findings []Finding
	highest := first
	for _, port := range own {
		highest = max(highest, port)
	}
	for port := first; port <= min(highest, last); port++ {
		if slices.Contains(own, port) || free(ctx, port) {
			continue
		}
		who := "another program"
		if name := listener(port); name != "" {
			who = name
		}
		findings = append(findings, Finding{
			Note, "port", fmt.Sprintf("%d is taken by %s", port, who),
			"nothing to do, unless a client looks at this port alone",
		})
	}
	return findings
}

// free says whether nobody listens on a port of 127.0.0.1.
func free(ctx context.Context, port int) bool {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
