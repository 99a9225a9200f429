package main

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	local := func(h, m, s int) time.Time { return time.Date(2026, 1, 2, h, m, s, 0, time.Local) }
	for text, want := range map[string]time.Time{
		"10m": now.Add(-10 * time.Minute), "1h30m": now.Add(-90 * time.Minute), "0": time.Unix(0, 0), "1767323045": time.Unix(1767323045, 0),
		"1767323045.5": time.Unix(1767323045, 5e8), "2026-01-02T03:04:05Z": time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		"2026-01-02T03:04:05.25+01:00": time.Date(2026, 1, 2, 2, 4, 5, 25e7, time.UTC), "2026-01-02T03:04:05": local(3, 4, 5), "2026-01-02T03:04": local(3, 4, 0),
		"2026-01-02": local(0, 0, 0), "2026-01-02Z": time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), "": {},
	} {
		if got, err := parseTime("--since", text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "1.x", "2026-13-01", "-"} {
		if got, err := parseTime("--since", text, now); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
