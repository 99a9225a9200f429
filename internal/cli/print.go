// This file owns the forms in which commands print: tables, JSON, and archives that a terminal does not get.

package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/docker/go-units"

	"github.com/gbuild/gbuild/internal/progress"
)

// PrintJSON prints a value with an indent.
func (a *App) PrintJSON(v any, indent string) error {
	text, err := json.MarshalIndent(v, "", indent)
	if err == nil {
		_, err = a.RawOut.Write(append(progress.EscapeJSON(text), '\n'))
	}
	return err
}

// Short is the start of an id that docker prints.
func Short(hex string) string { return hex[:min(12, len(hex))] }

// headings are docker's names of columns.
var headings = strings.NewReplacer("{{.Repository}}", "REPOSITORY", "{{.Tag}}", "TAG", "{{.ID}}", "IMAGE ID", "{{.Digest}}", "DIGEST",
	"{{.CreatedSince}}", "CREATED", "{{.CreatedAt}}", "CREATED AT", "{{.Size}}", "SIZE", "{{.LastUsed}}", "LAST USED", "{{.Wheels}}", "WHEELS")

// PrintTable prints rows by a template; "table " before it adds a heading and aligns.
func (a *App) PrintTable(format string, rows []any) error {
	format = strings.ReplaceAll(format, `\t`, "\t")
	body, aligned := strings.CutPrefix(format, "table ")
	t, err := parseFormat(body)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.Stdout, 10, 1, 3, ' ', 0)
	if aligned {
		fmt.Fprintln(w, headings.Replace(body))
	}
	for _, r := range rows {
		if err := t.Execute(w, r); err != nil {
			return Usagef("--format: %w", err)
		}
	}
	return w.Flush()
}

// ArchiveOutput is standard output for an archive, unless that is a terminal.
func (a *App) ArchiveOutput() (*os.File, error) {
	if IsTerminal(a.RawOut) {
		return nil, Usagef("not writing an archive to a terminal: redirect it, or give dest=FILE")
	}
	return a.RawOut, nil
}

// IsTerminal says whether a stream is a terminal. What is no file is none.
func IsTerminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// HumanSize is a number of bytes as docker prints it.
func HumanSize(bytes int64) string { return units.HumanSizeWithPrecision(float64(bytes), 3) }

// Ago is a time as docker prints it.
func Ago(t time.Time) string { return units.HumanDuration(time.Since(t)) + " ago" }
