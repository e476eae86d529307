package main

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sbid/cmd/sbid/internal/sbitest"
)

var update = flag.Bool("update", false, "rewrite the expected outputs in the scripts that name no variables")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sbid": main})
}

// Each script has an SBI service of its own on $PORT; its certificates are in
// $TRUST, that of its devices is valid until $UNTIL, and that of $FTM until
// $FTM_UNTIL.
func TestScripts(t *testing.T) {
	keys, err := sbitest.NewKeys(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			service, stop := sbitest.New(keys)
			env.Defer(stop)
			env.Values[serviceKey{}] = service
			env.Setenv("PORT", strconv.Itoa(service.Port))
			env.Setenv("TRUST", keys.TrustDir())
			env.Setenv("KEY", keys.KeyFile())
			device, ftm := keys.Device().Certificate(), keys.FTM().Certificate()
			env.Setenv("UNTIL", device.NotAfter.UTC().Format(time.DateOnly))
			env.Setenv("FTM", ftm.Subject.String())
			env.Setenv("FTM_UNTIL", ftm.NotAfter.UTC().Format(time.DateOnly))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"fault":   fault,
			"private": private,
			"exits":   exits,
		},
	})
}

type serviceKey struct{}

// fault [NAME] makes the service misbehave, or behave again.
func fault(ts *testscript.TestScript, _ bool, args []string) {
	service := ts.Value(serviceKey{}).(*sbitest.Service)
	service.SetFault(append(args, "")[0])
}

// private FILE... checks that nobody but their owner may use files and folders.
func private(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			ts.Fatalf("%s has mode %v", name, mode)
		}
	}
}

// exits CODE COMMAND... runs a command that must end with that exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		code = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}
