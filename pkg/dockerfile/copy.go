// This file owns COPY and ADD: the step that one makes, and which flags and sources do not go together.

package dockerfile

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/patternmatcher"
	mode "github.com/tonistiigi/dchapes-mode"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// copy makes the step of a COPY. Variables in --from and --exclude are expanded too, other than in BuildKit.
func (r *resolver) copy(cmd *instructions.CopyCommand) error {
	step := &Copy{Chown: cmd.Chown, Chmod: cmd.Chmod, Link: cmd.Link, Parents: cmd.Parents}
	if cmd.From != "" {
		from, err := r.word(cmd.From, r.lex, cmd)
		if err != nil {
			return err
		}
		if from == "" {
			return hint.Errorf("give the variable a value, or a default as in ${NAME:-stage}", "--from=%s is empty", cmd.From)
		}
		if step.From, err = r.stage.source(from, true); err != nil {
			return fmt.Errorf("cannot copy: %w", err)
		}
	}
	if err := r.excludes(step, cmd.ExcludePatterns, cmd); err != nil {
		return err
	}
	return r.finishCopy(step, cmd.SourcesAndDest, cmd, cmd.String())
}

// add makes the step of an ADD.
func (r *resolver) add(cmd *instructions.AddCommand) error {
	step := &Copy{
		Add: true, Chown: cmd.Chown, Chmod: cmd.Chmod, Link: cmd.Link,
		Unpack: cmd.Unpack, Checksum: cmd.Checksum, KeepGit: cmd.KeepGitDir,
	}
	if err := r.excludes(step, cmd.ExcludePatterns, cmd); err != nil {
		return err
	}
	return r.finishCopy(step, cmd.SourcesAndDest, cmd, cmd.String())
}

// excludes expands the patterns of --exclude, and refuses those that are none.
func (r *resolver) excludes(step *Copy, patterns []string, cmd instructions.Command) error {
	for _, pattern := range patterns {
		word, err := r.word(pattern, r.lex, cmd)
		if err != nil {
			return err
		}
		if _, err := patternmatcher.New([]string{word}); err != nil {
			return fmt.Errorf("invalid pattern %q of --exclude: %w", word, err)
		}
		step.Exclude = append(step.Exclude, word)
	}
	return nil
}

// finishCopy adds what COPY and ADD have in common, and the step to the stage.
func (r *resolver) finishCopy(step *Copy, sd instructions.SourcesAndDest, cmd instructions.Command, text string) error {
	step.Sources = sd.SourcePaths
	for _, c := range sd.SourceContents {
		step.Inline = append(step.Inline, File{Path: path.Base(c.Path), Data: []byte(c.Data)})
	}
	step.Dest = destination(r.config.Config.WorkingDir, sd.DestPath)
	if err := step.check(); err != nil {
		return err
	}
	r.lintIgnored(step, cmd)
	r.scope.aptKeeps = r.scope.aptKeeps || strings.HasPrefix(step.Dest, "/etc/apt")
	step.meta = Meta{
		Location: locate(cmd.Location()), Title: r.title(text, r.lex, r.scope.env),
		History: r.commit(step.history(sd)+" # buildkit", true),
	}
	r.out.Steps = append(r.out.Steps, step)
	return nil
}

// history is how the instruction stands in the history of the image.
func (c *Copy) history(sd instructions.SourcesAndDest) string {
	words := []string{"COPY"}
	if c.Add {
		words[0] = "ADD"
	}
	if c.Parents {
		words = append(words, "--parents")
	}
	if c.Chown != "" {
		words = append(words, "--chown="+c.Chown)
	}
	if c.Chmod != "" {
		words = append(words, "--chmod="+c.Chmod)
	}
	words = append(words, c.Sources...)
	for _, content := range sd.SourceContents {
		words = append(words, "<<"+content.Path)
	}
	return strings.Join(append(words, sd.DestPath), " ")
}

// destination is dest against the directory, clean, with a "/" at the end where it can only be a directory.
func destination(dir, dest string) string {
	isDir := dest == "" || dest == "." || strings.HasSuffix(dest, "/") || strings.HasSuffix(dest, "/.")
	if !path.IsAbs(dest) {
		dest = path.Join("/", dir, dest)
	}
	dest = path.Clean(dest)
	if isDir && dest != "/" {
		dest += "/"
	}
	return dest
}

// check refuses flags that contradict each other or the sources.
func (c *Copy) check() error {
	if c.Link && byName(c.Chown) {
		return hint.Errorf("the new layer has no /etc/passwd to look names up in",
			"--chown=%s: user and group names can't be resolved when used with --link, use numeric uid[:gid] instead", c.Chown)
	}
	if err := checkMode(c.Chmod); err != nil {
		return err
	}
	if err := c.checkChecksum(); err != nil {
		return err
	}
	for _, src := range c.Sources {
		if err := c.checkRemote(src); err != nil {
			return err
		}
	}
	return nil
}

// byName reports whether --chown needs files of the image to be understood.
func byName(chown string) bool {
	user, group, _ := strings.Cut(chown, ":")
	return user != "" && !isFixedID(user) || group != "" && !isFixedID(group)
}

// isFixedID says whether the number of an owner is known without the files of the image: a number, and root.
func isFixedID(s string) bool {
	_, err := strconv.ParseInt(s, 10, 32)
	return err == nil || s == "root"
}

// checkMode refuses what is neither an octal mode nor a symbolic one.
func checkMode(chmod string) error {
	if chmod == "" {
		return nil
	}
	octal := hint.Errorf("as in 0755, or u=rwX,go=rX",
		"invalid chmod parameter: '%v'. it should be octal string and between 0 and 07777", chmod)
	if p, err := strconv.ParseUint(chmod, 8, 32); err == nil {
		if p > 0o7777 {
			return octal
		}
		return nil
	}
	_, err := mode.Parse(chmod)
	var digits *strconv.NumError
	if errors.As(err, &digits) {
		return octal
	}
	if err != nil {
		return fmt.Errorf("invalid chmod parameter: %q: %w", chmod, err)
	}
	return nil
}

// digests are the forms of --checksum for a download.
var digests = lazyregexp.New(`^(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$`)

// checkChecksum refuses a --checksum where nothing is fetched, or that is no digest.
func (c *Copy) checkChecksum() error {
	if c.Checksum == "" {
		return nil
	}
	if len(c.Sources) != 1 {
		return errors.New("checksum can't be specified for multiple sources")
	}
	src := c.Sources[0]
	if !IsHTTP(src) && !isGit(src) {
		return errors.New("checksum requires HTTP(S) or Git sources")
	}
	if IsHTTP(src) && !digests().MatchString(c.Checksum) {
		return hint.Errorf("as in sha256: and 64 hexadecimal digits", "invalid checksum digest format: %q", c.Checksum)
	}
	return nil
}

// checkRemote refuses URLs and git repositories for COPY, and flags of ADD that contradict those in the reference.
func (c *Copy) checkRemote(src string) error {
	ref, git, err := parseGit(src)
	if git && err != nil {
		return err
	}
	if err == nil && !ref.IndistinguishableFromLocal {
		switch {
		case !c.Add:
			return hint.Errorf("ADD fetches repositories", "source can't be a git ref for COPY")
		case c.KeepGit != nil && ref.KeepGitDir != nil && *c.KeepGit != *ref.KeepGitDir:
			return errors.New("inconsistent keep-git-dir configuration")
		case c.Checksum != "" && ref.Checksum != "" && c.Checksum != ref.Checksum:
			return fmt.Errorf("checksum mismatch %q != %q", c.Checksum, ref.Checksum)
		}
		return nil
	}
	if IsHTTP(src) && !c.Add {
		return hint.Errorf("ADD fetches files", "source can't be a URL for COPY")
	}
	return nil
}

// lintIgnored warns about a source that .dockerignore keeps out of the context.
func (r *resolver) lintIgnored(step *Copy, cmd instructions.Command) {
	if step.From.Kind != FromContext || step.From.Name != "" {
		return
	}
	verb := "Copy"
	if step.Add {
		verb = "Add"
	}
	for _, src := range step.Sources {
		if src = path.Clean(src); IsHTTP(src) || IsGit(src) || !r.plan.ignore.matches(src) {
			continue
		}
		r.lint.Run(&linter.RuleCopyIgnoredFile, cmd.Location(), linter.RuleCopyIgnoredFile.Format(verb, src))
	}
}
