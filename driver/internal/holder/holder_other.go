//go:build !linux

package holder

// find knows nothing of other systems' processes.
func find(string) []process { return nil }
