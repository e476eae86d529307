package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// program builds sbisim as it ships, without what a test binary adds.
func program(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "sbisim")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", path, ".").CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// launch starts the program and returns where registration devices answer.
func launch(b *testing.B, path, state string) (*exec.Cmd, string) {
	b.Helper()
	cmd := exec.Command(path, "--state-dir", state)
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { end(cmd) })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return cmd, strings.TrimSuffix(strings.Fields(line)[2], "/")
}

func end(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(os.Interrupt) // it may have ended
	_ = cmd.Wait()
}

func ask(b *testing.B, verb, url string, body any) []byte {
	b.Helper()
	s := sim{t: b}
	resp, answer := s.call(verb, url, body)
	if resp.StatusCode != http.StatusOK {
		b.Fatalf("%s: %s", verb, resp.Status)
	}
	return answer
}

// BenchmarkStart times a start, with keys that exist, to the first answered
// MOSIPDISC.
func BenchmarkStart(b *testing.B) {
	path, state := program(b), newState(b)
	for b.Loop() {
		cmd, url := launch(b, path, state)
		if answer := ask(b, "MOSIPDISC", url+"/device", `{"type":"Finger"}`); !bytes.Contains(answer, []byte(`"Ready"`)) {
			b.Fatalf("answer %s", answer)
		}
		b.StopTimer()
		end(cmd)
		b.StartTimer()
	}
	b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "start-ms")
}

// BenchmarkMemory reports the resident memory of the program: idle after the
// start, at its peak over a capture of everything, and idle again after it.
func BenchmarkMemory(b *testing.B) {
	path, state := program(b), newState(b)
	var idle, peak, after float64
	for b.Loop() {
		cmd, url := launch(b, path, state)
		ask(b, "MOSIPDISC", url+"/device", nil)
		idle += resident(b, cmd, "VmRSS")
		for _, c := range []struct{ device, kind, sub, count string }{
			{"1", "Finger", "1", "4"}, {"1", "Finger", "2", "4"}, {"1", "Finger", "3", "2"},
			{"2", "Iris", "3", "2"}, {"3", "Face", "0", "1"},
		} {
			answer := ask(b, "RCAPTURE", url+"/capture", fmt.Sprintf(`{"env":"Developer","purpose":"Registration","specVersion":"0.9.5",
				"timeout":"20000","transactionId":"bench-1","bio":[{"type":%q,"count":%q,"requestedScore":"50","deviceId":%q,"deviceSubId":%q}]}`,
				c.kind, c.count, c.device, c.sub))
			var got struct{ Biometrics []struct{ Data string } }
			if err := json.Unmarshal(answer, &got); err != nil || len(got.Biometrics) == 0 || got.Biometrics[0].Data == "" {
				b.Fatalf("capture of %s %s: %.200s", c.kind, c.sub, answer)
			}
		}
		peak += resident(b, cmd, "VmHWM")
		time.Sleep(6 * time.Second) // real time: the program gives memory back once it has been idle for a while
		after += resident(b, cmd, "VmRSS")
		end(cmd)
	}
	b.ReportMetric(idle/float64(b.N), "idle-MB")
	b.ReportMetric(peak/float64(b.N), "peak-MB")
	b.ReportMetric(after/float64(b.N), "idle-after-MB")
}

// resident reads a figure of /proc/PID/status in MB.
func resident(b *testing.B, cmd *exec.Cmd, name string) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		b.Skip("no /proc on this system to read memory from")
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			kb, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kb) / 1024
		}
	}
	b.Fatalf("no %s in %s", name, status)
	return 0
}
