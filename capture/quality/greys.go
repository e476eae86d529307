package quality

import "math"

// A greys counts pixels by their grey.
type greys struct {
	count [256]int
	n     int
}

func (g *greys) add(v uint8) { g.count[v]++; g.n++ }

// quantile returns the grey below or at which the share q of the pixels lie.
func (g *greys) quantile(q float64) float64 {
	sum := 0
	for v, c := range g.count {
		if sum += c; float64(sum) > q*float64(g.n) {
			return float64(v)
		}
	}
	return 0
}

// entropy returns the information of one grey in bits.
func (g *greys) entropy() float64 {
	var e float64
	for _, c := range g.count {
		if c > 0 {
			p := float64(c) / float64(g.n)
			e -= p * math.Log2(p)
		}
	}
	return e
}
