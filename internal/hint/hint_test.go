package hint

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestOfFindsTheFirstHint(t *testing.T) {
	inner := Errorf("inner", "no %s", "file")
	for want, err := range map[string]error{
		"":      fmt.Errorf("reading: %w", io.EOF),
		"inner": fmt.Errorf("reading: %w", errors.Join(io.EOF, Wrap(inner, ""))),
		"outer": fmt.Errorf("reading: %w", Wrap(inner, "outer")),
	} {
		if got := Of(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	if Of(nil) != "" || Wrap(nil, "text") != nil {
		t.Error("no error has a hint")
	}
}

func TestAHintChangesNoMessage(t *testing.T) {
	if err := Wrap(io.EOF, "text"); err.Error() != "EOF" || !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if err := Errorf("100 %s", "%w at %d", io.EOF, 3); err.Error() != "EOF at 3" || !errors.Is(err, io.EOF) || Of(err) != "100 %s" {
		t.Error(err)
	}
}

func TestOfHost(t *testing.T) {
	err := Wrap(fmt.Errorf("building: %w", HostErrorf("use another disk", "no locks: %w", io.EOF)), "")
	if !OfHost(err) || Of(err) != "use another disk" || !errors.Is(err, io.EOF) || OfHost(Errorf("x", "y")) {
		t.Error(err)
	}
}
