package host

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseSubordinate(t *testing.T) {
	file := "# comment\nann:100000:65536\nbob:1:1\n1000:300000:10\nann:300005:10\nann:x:1\nann:5\nann:7:0\nann:4294967295:9\n ann:400000:5 \n"
	ranges, err := parseSubordinate(strings.NewReader(file), "ann", "1000")
	must(t, err)
	if got, want := fmt.Sprint(layOut(1000, ranges)), "[{0 1000 1} {1 100000 65536} {65537 300000 10} {65547 400000 5}]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	many := make([]IDRange, 400)
	for i := range many {
		many[i] = IDRange{Outside: uint32(1000 * i), Count: 1}
	}
	if n := len(layOut(0, many)); n != maxMapLines {
		t.Errorf("%d lines, the kernel takes %d", n, maxMapLines)
	}
}

func TestFormatIDMap(t *testing.T) {
	text := "         0       1000          1\n         1     100000      65536\n"
	ranges, err := ParseIDMap(text)
	must(t, err)
	if got, want := string(formatIDMap(ranges)), "0 1000 1\n1 100000 65536\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for id, want := range map[int]bool{0: true, 65536: true, 65537: false, -1: false} {
		if IsMapped(ranges, id) != want {
			t.Errorf("id %d: mapped is %v", id, !want)
		}
	}
	if _, err := ParseIDMap("1 x 3\n"); err == nil {
		t.Error("a broken line was accepted")
	}
}
