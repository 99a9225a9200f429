package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"text/template"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/bases"
	"github.com/gbuild/gbuild/internal/progress"
	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/layers"
)

func newImagesCommand(a *app) *cobra.Command {
	var quiet, digests bool
	var format string
	c := &cobra.Command{
		Use: "images [NAME]", Short: "List the images of the local store", Args: cobra.MaximumNArgs(1),
		Example: "  gbuild images\n  gbuild images my-agent --format 'table {{.Repository}}\\t{{.Tag}}\\t{{.Size}}'",
		RunE: func(_ *cobra.Command, args []string) error {
			rows, err := a.imageRows(strings.Join(args, ""))
			if err != nil {
				return err
			}
			if quiet {
				format = "{{.ID}}"
			} else if format == "" {
				format = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
				if digests {
					format = "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
				}
			}
			return a.table(format, rows)
		},
	}
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "print ids only")
	c.Flags().BoolVar(&digests, "digests", false, "print digests, too")
	c.Flags().StringVar(&format, "format", "", "a Go template, as docker images takes it")
	return c
}

// imageRow has the fields that docker's --format knows.
type imageRow struct {
	Repository, Tag, ID, Digest, CreatedSince, CreatedAt, Size string
}

func (a *app) imageRows(only string) ([]any, error) {
	store, err := a.openStore(a.notice)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	list, err := store.Images()
	if err != nil {
		return nil, err
	}
	var rows []any
	for _, i := range list {
		ref, err := image.ParseRef(i.Name)
		if err != nil {
			continue
		}
		familiar := ref
		familiar.Tag, familiar.Digest = "", ""
		repository := familiar.Familiar()
		if only != "" && only != repository && only != ref.Familiar() {
			continue
		}
		rows = append(rows, imageRow{repository, cmp.Or(ref.Tag, "<none>"), short(i.ID.Hex), i.Digest.String(),
			units.HumanDuration(time.Since(i.Created)) + " ago", i.Created.UTC().Format("2006-01-02 15:04:05 +0000 UTC"), units.HumanSizeWithPrecision(float64(i.Size), 3)})
	}
	return rows, nil
}

func short(hex string) string { return hex[:min(12, len(hex))] }

// headings are docker's names of columns.
var headings = strings.NewReplacer("{{.Repository}}", "REPOSITORY", "{{.Tag}}", "TAG", "{{.ID}}", "IMAGE ID", "{{.Digest}}", "DIGEST",
	"{{.CreatedSince}}", "CREATED", "{{.CreatedAt}}", "CREATED AT", "{{.Size}}", "SIZE", "{{.LastUsed}}", "LAST USED", "{{.Wheels}}", "WHEELS")

// table prints rows by a template; "table " before it adds a heading and aligns.
func (a *app) table(format string, rows []any) error {
	format = strings.ReplaceAll(format, `\t`, "\t")
	body, aligned := strings.CutPrefix(format, "table ")
	t, err := template.New("format").Parse(body + "\n")
	if err != nil {
		return usagef("--format: %w", err)
	}
	w := tabwriter.NewWriter(a.stdout, 10, 1, 3, ' ', 0)
	if aligned {
		fmt.Fprintln(w, headings.Replace(body))
	}
	for _, r := range rows {
		if err := t.Execute(w, r); err != nil {
			return usagef("--format: %w", err)
		}
	}
	return w.Flush()
}

func newPushCommand(a *app) *cobra.Command {
	var quiet bool
	c := &cobra.Command{
		Use: "push IMAGE [DESTINATION...]", Short: "Push a local image to a registry", Args: cobra.MinimumNArgs(1),
		Example: "  gbuild push registry.example/me/app:v1\n  gbuild push my-agent registry.example/me/my-agent:v1",
		RunE: func(c *cobra.Command, args []string) error {
			to := args[1:]
			if len(to) == 0 {
				to = args
			}
			return a.mustEnter(c.Context(), func(ctx context.Context) error { return a.push(ctx, args[0], to, quiet) })
		},
	}
	a.registries.addInsecure(c.Flags())
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "print nothing but errors")
	return c
}

func (a *app) push(ctx context.Context, from string, to []string, quiet bool) error {
	store, err := a.openStore(a.notice)
	if err != nil {
		return err
	}
	defer store.Close()
	img, err := bases.Local(store, from)
	if err != nil {
		return err
	}
	w := &writer{app: a, store: store, options: a.registries.options(), show: a.plainDisplay(quiet), names: to}
	defer w.show.Close()
	return w.push(ctx, output{}, img)
}

// plainDisplay draws the progress of commands that build nothing.
func (a *app) plainDisplay(quiet bool) *display {
	mode := progress.Auto
	if quiet {
		mode = progress.Quiet
	}
	return &display{Display: progress.New(mode, a.rawErr, isTerminal(a.rawErr), 0)}
}

func newSaveCommand(a *app) *cobra.Command {
	var dest, format string
	c := &cobra.Command{
		Use: "save IMAGE [IMAGE...]", Short: "Write a local image to a tarball or an OCI layout", Args: cobra.MinimumNArgs(1),
		Example: "  gbuild save my-agent -o my-agent.tar && docker load -i my-agent.tar\n  gbuild save my-agent --format oci -o my-agent.oci.tar",
		RunE: func(c *cobra.Command, args []string) error {
			return a.mustEnter(c.Context(), func(ctx context.Context) error { return a.save(ctx, args, dest, format) })
		},
	}
	c.Flags().StringVarP(&dest, "output", "o", "-", "file to write (default: standard output)")
	c.Flags().StringVar(&format, "format", "docker", "docker (docker load reads it), oci, or oci-dir")
	a.registries.addInsecure(c.Flags())
	return c
}

func (a *app) save(ctx context.Context, names []string, dest, format string) error {
	store, err := a.openStore(a.notice)
	if err != nil {
		return err
	}
	defer store.Close()
	img, err := bases.Local(store, names[0])
	if err != nil {
		return err
	}
	out := output{kind: format, dest: dest, fields: map[string]string{}}
	switch format {
	case "docker", "oci":
	case "oci-dir":
		out.kind, out.fields["tar"] = "oci", "false"
	default:
		return usagef("--format %s: it is docker, oci or oci-dir", format)
	}
	w := &writer{app: a, store: store, options: a.registries.options(), show: a.plainDisplay(dest == "-")}
	defer w.show.Close()
	for _, n := range names {
		same, err := bases.Local(store, n)
		if err != nil {
			return err
		}
		if err := sameImage(img, same, n); err != nil {
			return err
		}
		ref, err := image.ParseName(n)
		if err != nil {
			return err
		}
		w.names = append(w.names, ref.String())
	}
	return w.archive(ctx, out, img)
}

func sameImage(a, b v1Image, name string) error {
	x, err := a.Digest()
	if err != nil {
		return err
	}
	if y, err := b.Digest(); err != nil || x != y {
		return usagef("%s is another image: save writes one image under several names", name)
	}
	return nil
}

func newRmiCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "rmi IMAGE [IMAGE...]", Short: "Remove names of local images, and the files that nothing else needs", Args: cobra.MinimumNArgs(1),
		Example: "  gbuild rmi my-agent:v1",
		RunE: func(c *cobra.Command, args []string) error {
			return a.mustEnter(c.Context(), func(ctx context.Context) error {
				store, err := a.openStore(a.notice)
				if err != nil {
					return err
				}
				defer store.Close()
				for _, n := range args {
					ref, err := image.ParseName(n)
					if err != nil {
						return err
					}
					if err := store.Untag(ref.String()); err != nil {
						return err
					}
					fmt.Fprintln(a.stdout, "Untagged:", ref.Familiar())
				}
				return nil
			})
		},
	}
}

func newPruneCommand(a *app) *cobra.Command {
	var keep time.Duration
	c := &cobra.Command{
		Use: "prune", Short: "Remove stored steps and layers that no image needs and that were not used of late", Args: cobra.NoArgs,
		Long:    "Remove stored steps and layers that no local image needs and that were not used of late. Cache mounts stay: see gbuild cache rm.",
		Example: "  gbuild prune\n  gbuild prune --keep 168h",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.mustEnter(c.Context(), func(ctx context.Context) error {
				store, err := a.openStore(a.notice)
				if err != nil {
					return err
				}
				defer store.Close()
				report, err := store.Prune(ctx, layers.PruneOptions{OlderThan: keep})
				if err == nil {
					fmt.Fprintf(a.stdout, "Reclaimed %s\n", units.HumanSizeWithPrecision(float64(report.Freed), 3))
				}
				return err
			})
		},
	}
	c.Flags().DurationVar(&keep, "keep", time.Hour, "leave what was made in this time")
	return c
}
