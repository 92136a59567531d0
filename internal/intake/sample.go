package intake

import "slices"

// Sample is what a person looks at to say which column of a file holds the ids.
type Sample struct {
	// Names are those of the header; nil where the first row is taken for data.
	Names []string
	// Width is how many columns there are, ID the one that was taken for the ids, counted from 1.
	Width, ID int
	// Rows are the first rows as they stand, without the header.
	Rows [][]string
}

// Sure says that there is no doubt about the id column: it was named, the header has a known name, or there is no other.
func (r *Reader) Sure() bool { return r.sure }

// Sample shows the first rows, at most n; what cannot be read ends them. It takes them from Next: a file is looked at or read.
func (r *Reader) Sample(n int) Sample {
	s := Sample{Names: r.names, Width: r.width, ID: r.id + 1}
	for len(s.Rows) < n {
		row, err := r.read()
		if err != nil {
			break
		}
		cells := slices.Clone(row.text) // a source reuses its row
		for i, text := range cells {
			cells[i] = short(text)
		}
		s.Rows = append(s.Rows, cells)
	}
	return s
}
