package simulator

import (
	"math"
	"math/rand/v2"
	"sync"
)

// tileSide is the side of the noise tile, a power of two.
const tileSide = 256

// noiseTile is a torus of N(0, 1) values from which all smooth noise is read:
// filling a fresh grid for every purpose and capture would cost more than the
// drawing.
var noiseTile = sync.OnceValue(func() *[tileSide * tileSide]float32 {
	r := rand.New(rand.NewPCG(0x736269, 1))
	var tile [tileSide * tileSide]float32
	for i := range tile {
		tile[i] = float32(r.NormFloat64())
	}
	return &tile
})

// A noise is a smooth random function of the plane: normal values on a grid of
// square cells, with smoothstep interpolation between them.
type noise struct {
	tile  *[tileSide * tileSide]float32
	x, y  float32 // where in the tile the plane's origin lies
	scale float32 // cells a pixel
}

// newNoise returns noise whose cells have the given side in pixels.
func newNoise(r *rand.Rand, cell float64) noise {
	return noise{noiseTile(), float32(uniform(r, 0, tileSide)), float32(uniform(r, 0, tileSide)), float32(1 / cell)}
}

// at returns the noise at a point not more than 1000 cells left of or above the
// origin.
//
//go:norace
func (n *noise) at(x, y float32) float32 {
	// The offset keeps coordinates positive, so that conversion rounds down.
	x = float32(x*n.scale) + n.x + 4*tileSide
	y = float32(y*n.scale) + n.y + 4*tileSide
	i, j := int(x), int(y)
	x -= float32(i)
	y -= float32(j)
	x = x * x * (3 - 2*x)
	y = y * y * (3 - 2*y)
	i0, i1 := i&(tileSide-1), (i+1)&(tileSide-1)
	j0, j1 := (j&(tileSide-1))*tileSide, ((j+1)&(tileSide-1))*tileSide
	top := n.tile[j0+i0] + float32((n.tile[j0+i1]-n.tile[j0+i0])*x)
	bottom := n.tile[j1+i0] + float32((n.tile[j1+i1]-n.tile[j1+i0])*x)
	return top + float32((bottom-top)*y)
}

// ring is noise that is periodic in its first argument: values on nodes round
// a circle, in rows across it.
type ring struct {
	nodes, rows int
	values      []float32
}

func newRing(r *rand.Rand, nodes, rows int) ring {
	g := ring{nodes, rows, make([]float32, nodes*rows)}
	for i := range g.values {
		g.values[i] = float32(r.NormFloat64())
	}
	return g
}

// at takes u in turns and v from 0 at the first row to 1 at the last.
//
//go:norace
func (g *ring) at(u, v float64) float64 {
	u -= math.Floor(u)
	x := u * float64(g.nodes)
	i := int(x)
	x = smoothstep(0, 1, x-float64(i))
	i0, i1 := i%g.nodes, (i+1)%g.nodes
	if g.rows == 1 {
		return lerp(float64(g.values[i0]), float64(g.values[i1]), x)
	}
	y := min(max(v, 0), 1) * float64(g.rows-1)
	j := min(int(y), g.rows-2)
	y = smoothstep(0, 1, y-float64(j))
	top, bottom := g.values[j*g.nodes:], g.values[(j+1)*g.nodes:]
	return lerp(lerp(float64(top[i0]), float64(top[i1]), x), lerp(float64(bottom[i0]), float64(bottom[i1]), x), y)
}
