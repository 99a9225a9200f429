package build

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestExportingIsALineWhereItTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []Event
		r := &exporting{events: &events{to: func(e Event) { all = append(all, e) }, lines: &lines{}}}
		one := r.begin()
		time.Sleep(exportingAfter / 2)
		r.packed(10)
		one()
		if len(all) > 0 {
			t.Errorf("a short one is shown: %v", all)
		}
		begun := time.Now()
		one, other := r.begin(), r.begin()
		r.packed(1)
		time.Sleep(exportingAfter)
		r.packed(2)
		one()
		r.packed(3)
		other()
		want := []Event{
			{Type: Started, Step: 1, Title: "exporting layers", Time: begun},
			{Type: Progress, Step: 1, Current: 3, Text: "bytes", Time: time.Now()},
			{Type: Progress, Step: 1, Current: 6, Text: "bytes", Time: time.Now()},
			{Type: Done, Step: 1, Time: time.Now()},
		}
		if len(all) != len(want) {
			t.Fatalf("got %v, want %v", all, want)
		}
		for i, e := range all {
			if w := want[i]; e.Type != w.Type || e.Step != w.Step || e.Title != w.Title || e.Current != w.Current || !e.Time.Equal(w.Time) {
				t.Errorf("event %d: got %+v, want %+v", i, e, w)
			}
		}
	})
}
