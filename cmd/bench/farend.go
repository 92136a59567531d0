package main

import (
	"context"
	"strconv"
)

// farEnd is the platform of one run, in a process of its own: the simulator, or for (0) the constant handler.
type farEnd struct {
	*child
	url string
}

func (b *bench) farEnd(ctx context.Context, v variant, w workload) (*farEnd, error) {
	args := []string{"simulator", "--recipients", strconv.Itoa(w.Recipients), "--per-user", strconv.Itoa(w.PerUser)}
	if v == constantLoop {
		args = []string{"constant"}
	}
	c, url, err := helper(ctx, b.log, args...)
	if err != nil {
		return nil, err
	}
	return &farEnd{child: c, url: url}, nil
}
