package container

import (
	"testing"
	"time"
)

// The policy decides by how the command ended and how often it ran again, and by nothing else.
func TestRestart(t *testing.T) {
	type row struct {
		failed   bool
		restarts int
	}
	ok, failed := row{false, 0}, row{true, 0}
	for text, want := range map[string]map[row]bool{
		"":               {ok: false, failed: false},
		"no":             {ok: false, failed: false},
		"always":         {ok: true, failed: true, {false, 1000}: true, {true, 1000}: true},
		"unless-stopped": {ok: true, failed: true, {true, 1000}: true},
		"on-failure":     {ok: false, failed: true, {true, 1000}: true},
		"on-failure:0":   {ok: false, failed: true, {true, 1000}: true},
		"on-failure:2":   {ok: false, failed: true, {true, 1}: true, {true, 2}: false, {false, 1}: false},
	} {
		r, err := ParseRestart(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		for in, again := range want {
			if got := r.again(in.failed, in.restarts); got != again {
				t.Errorf("%q, %+v: %v, want %v", text, in, got, again)
			}
		}
		if r.Never() != (text == "" || text == "no") {
			t.Errorf("%q: never is %v", text, r.Never())
		}
	}
	for _, text := range []string{"always:3", "no:1", ":", "on-failure:x", "on-failure:-1", "sometimes"} {
		if _, err := ParseRestart(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestPauseAfter(t *testing.T) {
	for in, want := range map[[2]time.Duration]time.Duration{
		{0, 0}: 100 * time.Millisecond, {0, 100 * time.Millisecond}: 200 * time.Millisecond, {time.Second, 40 * time.Second}: time.Minute,
		{0, time.Minute}: time.Minute, {11 * time.Second, time.Minute}: 100 * time.Millisecond,
	} {
		if got := pauseAfter(in[0], in[1]); got != want {
			t.Errorf("after a run of %v and a pause of %v: %v, want %v", in[0], in[1], got, want)
		}
	}
}
