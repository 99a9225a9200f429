// This file owns the templates of --format: docker's functions, and what is executed with them.

package cli

import (
	"encoding/json"
	"io"
	"strings"
	"text/template"
	"unicode/utf8"
)

// templateFunctions are those of docker's --format.
var templateFunctions = template.FuncMap{
	"json": func(v any) (string, error) {
		var out strings.Builder
		enc := json.NewEncoder(&out)
		enc.SetEscapeHTML(false)
		err := enc.Encode(v)
		return strings.TrimSpace(out.String()), err
	},
	"split": strings.Split,
	"join":  strings.Join,
	"title": func(s string) string {
		words := strings.Fields(s)
		for i, w := range words {
			_, n := utf8.DecodeRuneInString(w)
			words[i] = strings.ToUpper(w[:n]) + w[n:]
		}
		return strings.Join(words, " ")
	},
	"lower": strings.ToLower,
	"upper": strings.ToUpper,
	"pad": func(s string, before, after int) string {
		if s == "" {
			return s
		}
		return strings.Repeat(" ", before) + s + strings.Repeat(" ", after)
	},
	"truncate": func(s string, n int) string {
		if r := []rune(s); len(r) > n {
			return string(r[:max(n, 0)])
		}
		return s
	},
}

// parseFormat reads a template; "json" alone is the whole value.
func parseFormat(text string) (*template.Template, error) {
	if text == "json" {
		text = "{{json .}}"
	}
	t, err := template.New("format").Funcs(templateFunctions).Parse(text + "\n")
	if err != nil {
		return nil, Usagef("--format: %w", err)
	}
	return t, nil
}

// Format writes a value by the template of --format. A template that names a field which only the JSON has, by its name there, gets
// it from the JSON.
func Format(w io.Writer, format string, v any) error {
	t, err := parseFormat(format)
	if err != nil {
		return err
	}
	var out strings.Builder
	err = t.Execute(&out, v)
	if err != nil {
		var plain any
		text, bad := json.Marshal(v)
		if bad == nil {
			bad = json.Unmarshal(text, &plain)
		}
		out.Reset()
		if bad != nil || t.Option("missingkey=error").Execute(&out, plain) != nil {
			return Usagef("--format: %w", err)
		}
	}
	_, err = io.WriteString(w, out.String())
	return err
}
