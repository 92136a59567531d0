package console

// chart is bars by day: the dot of the partial chart. It is drawn with attributes, for the Content-Security-Policy forbids styles; the
// numbers stand in a table beside it.
type chart struct {
	// Label says what is drawn: a key of the catalogue.
	Label  string
	Series []series
	Days   []chartDay
	// Most is the highest bar.
	Most int64
}

// series is one of the numbers of each day: a key of the catalogue, and the colour's name.
type series struct{ Key, Colour string }

// chartDay is one day; X and W are in percent of the chart's width.
type chartDay struct {
	Day   string
	Short string
	X, W  float64
	// Mid is where its label stands, and Named whether it has one.
	Mid   float64
	Named bool
	Bars  []chartBar
}

// chartBar is one bar: X and W in percent of the width, Y and H in pixels.
type chartBar struct {
	Colour string
	N      int64
	X, W   float64
	Y, H   float64
}

// chartHeight is that of the highest bar in pixels.
const chartHeight = 110.0

// add adds a day with a number for each series.
func (c *chart) add(day string, numbers ...int64) {
	d := chartDay{Day: day, Short: day}
	if len(day) == len("2006-01-02") {
		d.Short = day[5:]
	}
	for i, n := range numbers {
		d.Bars = append(d.Bars, chartBar{Colour: c.Series[i].Colour, N: n})
		c.Most = max(c.Most, n)
	}
	c.Days = append(c.Days, d)
}

// draw places the bars.
func (c *chart) draw() {
	step := 100 / float64(max(len(c.Days), 1))
	for i := range c.Days {
		d := &c.Days[i]
		d.X, d.W = float64(i)*step, step
		d.Mid = d.X + step/2
		d.Named = (len(c.Days)-1-i)%((len(c.Days)+6)/7) == 0 // seven at most, the last one among them
		room := step * 0.8
		for j := range d.Bars {
			b := &d.Bars[j]
			b.W = room / float64(len(d.Bars))
			b.X = d.X + step*0.1 + float64(j)*b.W
			if c.Most > 0 {
				b.H = float64(b.N) * chartHeight / float64(c.Most)
			}
			if b.N > 0 {
				b.H = max(b.H, 1)
			}
			b.Y = chartHeight - b.H
		}
	}
}
