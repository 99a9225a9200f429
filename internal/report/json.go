// This file owns the JSON of the reports. It has the names of docker buildx, so that what reads one reads the other.

package report

import "github.com/gbuild/gbuild/pkg/dockerfile"

type (
	// findings is the answer to --call=check.
	findings struct {
		Warnings []finding    `json:"warnings"`
		Hints    []finding    `json:"hints,omitempty"` // gbuild's own
		Sources  []sourceInfo `json:"sources"`
	}
	// finding is a warning with the rule that it comes from.
	finding struct {
		RuleName    string    `json:"ruleName"`
		Description string    `json:"description,omitempty"`
		URL         string    `json:"url,omitempty"`
		Detail      string    `json:"detail,omitempty"`
		Location    *location `json:"location,omitempty"`
	}
	sourceInfo struct {
		Filename string `json:"filename"`
		Data     []byte `json:"data"`
		Language string `json:"language"`
	}
	location struct {
		Ranges []lineRange `json:"ranges"`
	}
	lineRange struct {
		Start position `json:"start"`
		End   position `json:"end"`
	}
	position struct {
		Line int `json:"line"`
	}
	// outline is the answer to --call=outline.
	outline struct {
		Name        string         `json:"name,omitempty"`
		Description string         `json:"description,omitempty"`
		Args        []outlineArg   `json:"args,omitempty"`
		Secrets     []outlineInput `json:"secrets,omitempty"`
		SSH         []outlineInput `json:"ssh,omitempty"`
		Sources     [][]byte       `json:"sources,omitempty"`
	}
	outlineArg struct {
		Name        string    `json:"name"`
		Description string    `json:"description,omitempty"`
		Value       string    `json:"value,omitempty"`
		Location    *location `json:"location,omitempty"`
	}
	outlineInput struct {
		Name     string    `json:"name"`
		Required bool      `json:"required,omitempty"`
		Location *location `json:"location,omitempty"`
	}
	// targets is the answer to --call=targets.
	targets struct {
		Targets []target `json:"targets"`
		Sources [][]byte `json:"sources"`
	}
	target struct {
		Name        string    `json:"name,omitempty"`
		Default     bool      `json:"default,omitempty"`
		Description string    `json:"description,omitempty"`
		Base        string    `json:"base,omitempty"`
		Platform    string    `json:"platform,omitempty"`
		Location    *location `json:"location,omitempty"`
	}
)

// newLocation is nil for what is in no line of the Dockerfile.
func newLocation(l dockerfile.Location) *location {
	if l.Start == 0 {
		return nil
	}
	return &location{[]lineRange{{position{l.Start}, position{l.End}}}}
}

// newFindings parts the warnings of docker's rules from the hints, which are gbuild's own and fail no check.
func newFindings(p *dockerfile.Plan, found []dockerfile.Warning) findings {
	out := findings{Warnings: []finding{}, Sources: []sourceInfo{{p.Name, p.Source, "Dockerfile"}}}
	for _, w := range found {
		f := finding{w.Rule, w.Description, w.URL, w.Message, newLocation(w.Location)}
		if w.Hint {
			out.Hints = append(out.Hints, f)
		} else {
			out.Warnings = append(out.Warnings, f)
		}
	}
	return out
}

// newOutline is what docker buildx calls the outline of a target.
func newOutline(p *dockerfile.Plan, o dockerfile.Outline) outline {
	out := outline{Name: o.Name, Description: o.Description, Sources: [][]byte{p.Source}}
	for _, arg := range o.Args {
		out.Args = append(out.Args, outlineArg{arg.Name, arg.Description, arg.Value, newLocation(arg.Location)})
	}
	out.Secrets, out.SSH = newOutlineInputs(o.Secrets), newOutlineInputs(o.SSH)
	return out
}

// newOutlineInputs serves secrets and ssh agents, of which the same is known.
func newOutlineInputs(list []dockerfile.OutlineInput) (out []outlineInput) {
	for _, in := range list {
		out = append(out, outlineInput{in.Name, in.Required, newLocation(in.Location)})
	}
	return out
}

// newTargets lists the stages; the last one is built where no target is named.
func newTargets(p *dockerfile.Plan) targets {
	last := p.Stages[len(p.Stages)-1]
	list := targets{Targets: []target{}, Sources: [][]byte{p.Source}}
	for _, s := range p.Stages {
		t := target{Name: s.Name, Default: s == last, Description: s.Description, Base: s.Base.Name, Location: newLocation(s.Location)}
		if s.Base.Kind == dockerfile.FromImage {
			t.Platform = s.Base.Platform.String()
		}
		list.Targets = append(list.Targets, t)
	}
	return list
}
