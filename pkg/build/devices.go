// This file owns the devices of a RUN, and what else only the command line may grant.

package build

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// entitled refuses what only the command line may grant: a Dockerfile must not reach the host by itself.
func entitled(req *Request, s *dockerfile.Run) error {
	for _, need := range []struct {
		name   string
		wanted bool
	}{{"network.host", s.Network == "host" && req.Limits.Network != "host"}, {"security.insecure", s.Security == "insecure"}} {
		if need.wanted && !req.Allow[need.name] {
			return errEntitled(need.name)
		}
	}
	return nil
}

// devices finds those of the command line, and what --device of the step asks for. Of the step's, one that is not
// required and not there is left out, and that is said.
func (r *runs) devices(ctx context.Context, req *Request, s *dockerfile.Run, env []string, tell func(string)) (all []runtime.Edits, err error) {
	given := req.Limits.Devices
	if len(given) > 0 {
		if all, err = r.find(ctx, given, env); err != nil {
			return nil, err
		}
	}
	for _, d := range s.Devices {
		if slices.Contains(given, d.Name) {
			continue
		}
		if !req.Allow["device"] && !req.Allow["device="+d.Name] {
			return nil, errEntitled("device=" + d.Name)
		}
		edits, err := r.find(ctx, []string{d.Name}, env)
		switch {
		case err == nil:
			all = append(all, edits...)
		case d.Required:
			return nil, fmt.Errorf("device %s: %w", d.Name, err)
		default:
			tell(fmt.Sprintf("device %s is left out: %v", d.Name, err))
		}
	}
	return all, nil
}

// find finds devices by their names.
func (r *runs) find(ctx context.Context, names, env []string) ([]runtime.Edits, error) {
	if r.inject == nil {
		return nil, errors.New("this build knows no devices")
	}
	return r.inject(ctx, names, env)
}

// errEntitled refuses a RUN that asks for what the command line does not grant.
func errEntitled(name string) error {
	return hint.Errorf("if you trust this Dockerfile: --allow "+name, "the step asks for %s, which is not allowed", name)
}
