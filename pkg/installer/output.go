// This file owns the reading of what a command prints: each line goes to all tools.

package installer

// Output reads the lines that a command prints. The zero Output has read none.
type Output struct{ said map[Tool]*Said }

// Of returns what a tool has said so far.
func (o *Output) Of(t Tool) *Said {
	if o.said == nil {
		o.said = map[Tool]*Said{}
	}
	if o.said[t] == nil {
		o.said[t] = &Said{}
	}
	return o.said[t]
}

// shortest is shorter than any line that says something.
const shortest = 10

// Read takes in a line.
func (o *Output) Read(line string) {
	if len(line) < shortest {
		return
	}
	for _, t := range Tools {
		if read := tools[t].read; read != nil {
			read(o.Of(t), line)
		}
	}
}
