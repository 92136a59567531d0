package main

import (
	"slices"
	"time"
)

// median is the middle value, or the mean of the two in the middle; 0 of nothing.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}

// perSecond is a rate; 0 where no time passed.
func perSecond(n int, took time.Duration) float64 {
	if took <= 0 {
		return 0
	}
	return float64(n) / took.Seconds()
}

// ratios divides the figures pair by pair. Pairs in which either is missing have none.
func ratios(pairs []pair, above, below variant) []float64 {
	var all []float64
	for _, p := range pairs {
		a, b := p.Rates[above], p.Rates[below]
		if a > 0 && b > 0 {
			all = append(all, a/b)
		}
	}
	return all
}

// rates are the figures of one variant, in the order of the pairs.
func rates(pairs []pair, v variant) []float64 {
	var all []float64
	for _, p := range pairs {
		if r := p.Rates[v]; r > 0 {
			all = append(all, r)
		}
	}
	return all
}
