package dockerfile

import "strings"

// Words lists the words of the commands of the RUN, without quotes and in their order; words that only the shell knows are
// left out.
func (r *Run) Words() (all []string) {
	for _, c := range r.calls() {
		for _, w := range c.words {
			if !strings.Contains(w.value, unknown) {
				all = append(all, w.value)
			}
		}
	}
	return all
}
