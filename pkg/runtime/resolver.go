// This file owns where a sandbox looks up names: what is asked for in the place of what its network says.

package runtime

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

// Resolver is what is asked for; what is empty is as the network has it.
type Resolver struct{ Servers, Search, Options []string }

// Check refuses servers that have no address.
func (r *Resolver) Check() error {
	for _, s := range r.Servers {
		if net.ParseIP(s) == nil {
			return fmt.Errorf("%s is not an ip address", s)
		}
	}
	return nil
}

// apply changes the text of a resolv.conf. A search for "." is one in no domain.
func (r *Resolver) apply(text string) string {
	var out strings.Builder
	replaced := map[string][]string{"nameserver": r.Servers, "search": r.Search, "domain": r.Search, "options": r.Options}
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) == 0 || len(replaced[fields[0]]) == 0 {
			out.WriteString(line)
		}
	}
	if text := out.String(); text != "" && !strings.HasSuffix(text, "\n") {
		out.WriteByte('\n')
	}
	for _, s := range r.Servers {
		fmt.Fprintln(&out, "nameserver", s)
	}
	if len(r.Search) > 0 && !slices.Equal(r.Search, []string{"."}) {
		fmt.Fprintln(&out, "search", strings.Join(r.Search, " "))
	}
	if len(r.Options) > 0 {
		fmt.Fprintln(&out, "options", strings.Join(r.Options, " "))
	}
	return out.String()
}
