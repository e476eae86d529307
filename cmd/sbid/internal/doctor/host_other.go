//go:build !linux

package doctor

// What only Linux is asked for is not known elsewhere.

func clockSynchronised() (synchronised, known bool) { return false, false }

func freeSpace(string) (bytes uint64, known bool) { return 0, false }

func owner(string) (uid int, known bool) { return 0, false }

func listener(int) string { return "" }
