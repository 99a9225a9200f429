package caching

import (
	"slices"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/shell"
	"mvdan.cc/sh/v3/syntax"
)

// run is a command with what the tests ask of its calls.
type run struct{ *shell.Command }

func runOf(args ...string) run { return run{&shell.Command{Args: args}} }

func shellRun(text string) run { return runOf("/bin/sh", "-c", text) }

func (r run) read() *Calls { return Read(r.Command) }

func (r run) Fetches(t installer.Tool) bool { return r.read().Fetches(t) }

func (r run) KeepsNone(t installer.Tool) bool { return r.read().KeepsNone(t) }

func (r run) Uncached(t installer.Tool) string { return r.read().Uncached(t, false) }

func (r run) Builds() Builds { return r.read().Builds() }

func (r run) WithCache(t installer.Tool, dir string) run { return run{r.read().WithCache(t, dir)} }

func (r run) Separate(t installer.Tool, dir string) (run, int, bool) {
	out, n, ok := r.read().Separate(t, dir)
	return run{out}, n, ok
}

func (r run) WithScripts(read func(name string) ([]byte, error)) run {
	out := r.Clone()
	out.Scripts = r.FindScripts(read)
	return run{out}
}

// TestWithCachePip has shell text, and what pip's cache makes of it; empty is unchanged. Text that does not fetch by pip
// is marked by a leading "-".
func TestWithCachePip(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"pip install -r requirements.txt", ""},
		{"pip3 install --no-cache-dir torch==2.6", "pip3 install                torch==2.6"},
		{"pip install torch --no-cache-dir", "pip install torch               "},
		{"pip --no-cache-dir install torch", "pip                install torch"},
		{"pip install --no-cache torch", "pip install            torch"},
		{"python3 -m pip install --no-cache-dir torch", "python3 -m pip install                torch"},
		{"python3.12 -u -m pip install --no-cache-dir torch", "python3.12 -u -m pip install                torch"},
		{"/opt/venv/bin/pip install '--no-cache-dir' torch", "/opt/venv/bin/pip install                  torch"},
		{`"$VENV/bin/pip" install --no-cache-dir x`, `"$VENV/bin/pip" install                x`},
		{`python${V} -m pip install --no-cache-dir x`, `python${V} -m pip install                x`},
		{"cd /src && MAX_JOBS=4 pip install --no-cache-dir . && rm -rf /src", "cd /src && MAX_JOBS=4 pip install                . && rm -rf /src"},
		{"pip install \\\n  --no-cache-dir \\\n  torch", "pip install \\\n                 \\\n  torch"},
		{"if true; then pip install --no-cache-dir a; else pip install b; fi", "if true; then pip install                a; else pip install b; fi"},
		{"for p in a b; do pip install --no-cache-dir $p; done", "for p in a b; do pip install                $p; done"},
		{"(set -e; pip install --no-cache-dir a)", "(set -e; pip install                a)"},
		{"x=$(pip install --no-cache-dir a)", "x=$(pip install                a)"},
		{"bash -c 'pip install --no-cache-dir a'", "bash -c 'pip install                a'"},
		{`bash -lc "pip install --no-cache-dir \"a<2\" $B"`, `bash -lc "pip install                \"a<2\" $B"`},
		{"bash -ex <<'EOF'\npip install --no-cache-dir a\nEOF", "bash -ex <<'EOF'\npip install                a\nEOF"},
		{"env MAX_JOBS=2 pip install --no-cache-dir a", "env MAX_JOBS=2 pip install                a"},
		{"xargs -n1 pip install --no-cache-dir < list", "xargs -n1 pip install                < list"},
		{"timeout 60 pip install --no-cache-dir a", "timeout 60 pip install                a"},
		{"/opt/app/python.sh -m pip install --no-cache-dir a", "/opt/app/python.sh -m pip install                a"},
		{`find . -name "*.whl" -exec pip3 install --no-cache-dir {} \;`, `find . -name "*.whl" -exec pip3 install                {} \;`},
		{`find install/python/ -name "*.whl" -exec pip3 install --no-cache-dir {}[all] \;`, `find install/python/ -name "*.whl" -exec pip3 install                {}[all] \;`},
		{"- find / -name pip -delete", ""},
		{"PIP_NO_CACHE_DIR=1 pip install a", "PIP_NO_CACHE_DIR=  pip install a"},
		{"export PIP_NO_CACHE_DIR='1' && pip install a", "export PIP_NO_CACHE_DIR=    && pip install a"},
		{"env PIP_NO_CACHE_DIR=off pip install a", "env PIP_NO_CACHE_DIR=    pip install a"},
		{"pip install a && pip cache purge", "pip install a &&  (unset PIP_CACHE_DIR; pip cache purge || :)"},
		{"pip install a && rm -rf \"$(pip3 cache dir)\"", "pip install a && rm -rf \"$( (unset PIP_CACHE_DIR; pip3 cache dir))\""},
		{"pip install a # pip install --no-cache-dir b", ""},
		{"pip install a -- --no-cache-dir", ""},
		{"pip install a && echo --no-cache-dir", ""},
		{"- cat <<EOF > /install.sh\npip install --no-cache-dir a\nEOF", ""},
		{"- echo 'pip install --no-cache-dir a' > /install.sh", ""},
		{"- echo pip install --no-cache-dir a", ""},
		{"- sudo pip install --no-cache-dir a", ""},
		{"- env -i pip install --no-cache-dir a", ""},
		{"- su me -c 'pip install --no-cache-dir a'", ""},
		{"- uv pip install --no-cache-dir a", ""},
		{"- apt-get install -y python3-pip", ""},
		{"- pip config set global.no-cache-dir true", ""},
		{"- pip list", ""},
		{"- pip install --no-cache-dir 'a", ""}, // no shell reads that
	} {
		text, none := strings.CutPrefix(c.text, "- ")
		if c.want == "" {
			c.want = text
		}
		r := shellRun(text)
		if got := r.Fetches(installer.Pip); got == none {
			t.Errorf("%q fetches: %t", text, got)
		}
		out := r.WithCache(installer.Pip, "/c")
		if got := out.Args[2]; got != c.want {
			t.Errorf("%q\nbecame %q\n  want %q", text, got, c.want)
		}
		if r.Args[2] != text || !slices.Contains(out.Env, "PIP_CACHE_DIR=/c") {
			t.Errorf("%q: the RUN itself changed, or has no variable", text)
		}
	}
}

// A $( followed by a ( is no arithmetic: the shell must read the result as it is meant.
func TestWithCacheIsStillShell(t *testing.T) {
	out := shellRun("rm -rf $(pip cache dir)").WithCache(installer.Pip, "/c").Args[2]
	if c := shellRun(out).read().All(); !slices.ContainsFunc(c, func(c *shell.Call) bool { return manages(c, installer.Pip) }) {
		t.Errorf("%q", out)
	}
}

func TestWithCacheOtherTools(t *testing.T) {
	for _, c := range []struct {
		tool       installer.Tool
		text, want string
	}{
		{installer.Uv, "uv pip install --no-cache a", "uv pip install            a"},
		{installer.Uv, "uv sync -n --frozen && uv cache clean", "uv sync    --frozen &&  (unset UV_CACHE_DIR; uv cache clean)"},
		{installer.Uv, "uv run make -n", "uv run make -n"},
		{installer.Uv, "uvx --no-cache make -n", "uvx            make -n"},
		{installer.Uv, "UV_NO_CACHE=true uv sync", "UV_NO_CACHE=0    uv sync"},
		{installer.Conda, "conda install -y a && conda clean -afy", "conda install -y a &&  (unset CONDA_PKGS_DIRS; conda clean -afy)"},
		{installer.Npm, "npm ci && npm cache clean --force", "npm ci &&  (unset npm_config_cache; npm cache clean --force)"},
		{installer.Apt, "apt-get update && apt-get install -y a && apt-get clean", "apt-get update && apt-get install -y a &&  (unset APT_CONFIG; apt-get clean)"},
	} {
		r := shellRun(c.text)
		if !r.Fetches(c.tool) {
			t.Errorf("%q fetches nothing", c.text)
		}
		if got := r.WithCache(c.tool, "/c").Args[2]; got != c.want {
			t.Errorf("%q\nbecame %q\n  want %q", c.text, got, c.want)
		}
	}
}

func TestWithCacheOfExecFormAndFiles(t *testing.T) {
	r := run{&shell.Command{Args: []string{"pip", "install", "--no-cache-dir", "a"}, Env: []string{"A=1", "PIP_NO_CACHE_DIR=1"}}}
	out := r.WithCache(installer.Pip, "/c")
	if !r.Fetches(installer.Pip) || !slices.Equal(out.Args, []string{"pip", "install", "a"}) || !slices.Equal(out.Env, []string{"A=1", "PIP_CACHE_DIR=/c"}) {
		t.Errorf("exec form: %q %q", out.Args, out.Env)
	}
	script := run{&shell.Command{Args: []string{"/dev/pipes/EOF"}, Files: []string{"#!/usr/bin/env bash\npip install --no-cache-dir a\n"}}}
	out = script.WithCache(installer.Pip, "/c")
	if want := "#!/usr/bin/env bash\npip install                a\n"; !script.Fetches(installer.Pip) || out.Files[0] != want {
		t.Errorf("script: %q", out.Files[0])
	}
	if !strings.Contains(script.Files[0], "--no-cache-dir") {
		t.Error("the script of the step itself changed")
	}
	strict := run{&shell.Command{Args: []string{"/bin/bash", "-ceuxo", "pipefail", "pip install --no-cache-dir a"}}}
	if out := strict.WithCache(installer.Pip, "/c"); !strict.Fetches(installer.Pip) || out.Args[3] != "pip install                a" {
		t.Errorf("bash -ceuxo pipefail: %q", out.Args)
	}
	for _, args := range [][]string{{"pip", "cache", "purge"}, {"bash", "-ec", "make"}, {}} {
		if r := runOf(args...); r.Fetches(installer.Pip) {
			t.Errorf("%q fetches", args)
		}
	}
}

// What is built in a RUN depends on what stands before it only, or the RUN counts as a whole.
func TestBuildsSure(t *testing.T) {
	for text, want := range map[string]bool{
		"pip install flash-attn --no-build-isolation":                        true,
		"cd /src && pip install -r r.txt":                                    true,
		"cd /src && apt-get update && pip install -r r.txt":                  false,
		"pip install -r r.txt && apt-get purge -y gcc && pip check":          true,
		"pip install --upgrade pip setuptools && pip install -r r":           false,
		"pip install torch==2.8 && pip install flash-attn":                   false,
		"pip install -r r.txt && pip install flash-attn":                     false,
		"pip install -U pip && pip install a && pip install b":               false,
		"./install.sh && pip install flash-attn":                             false,
		"pip install flash-attn && ./install.sh":                             false,
		"conda install pytorch; pip install flash-attn":                      false,
		"apt-get install -y python3-numpy && pip install a":                  false,
		"pip uninstall -y torch && pip install a":                            false,
		"for p in torch flash-attn; do pip install $p; done":                 false,
		"xargs -n1 pip install < list":                                       false,
		"git clone x && cd x && pip install --no-build-isolation .":          false,
		"pip install $(curl -s list.example)":                                false,
		"X=$(curl -s list.example) pip install a":                            false,
		"MAX_JOBS=$(nproc) pip install a":                                    true,
		"curl -LsSf x | sh && pip install a":                                 false,
		"/opt/venv/bin/pip install a":                                        true,
		"$VENV/bin/pip install a":                                            false,
		". /opt/venv/bin/activate && pip install a":                          true,
		". ./setup.sh && pip install a":                                      false,
		"python3 -m venv /v && /v/bin/pip install a":                         true,
		"export PATH=/opt/venv/bin:$PATH && pip install a":                   true,
		"umask 002 && pip install a":                                         true,
		"uv pip install torch && uv pip install flash-attn":                  false,
		"pip install pip $EXTRA && pip install a":                            false,
		"pip install -i https://download.example/torch pip && pip install a": false,
		"i() { pip install \"$1\"; }; i torch; i a":                          false,
		"bash -c 'pip install a'":                                            false,
	} {
		if got := shellRun(text).Builds().Sure; got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}

// Only names and versions of requirements, and the names of their files, are no part of what is built.
func TestBuildsText(t *testing.T) {
	const one = "pip install a==1 -r r.txt"
	for text, same := range map[string]bool{
		"pip install a==2 -r r.txt":                            true,
		"pip install 'a[x]>=2,<3' b -r /other.txt":             true,
		"pip install -r r.txt -c c.txt":                        false,
		"pip install -r r.txt --no-binary a==1":                false,
		"pip install a==1 -r r.txt -C x==1":                    false,
		"pip install a==1 -r r.txt --config-settings x=1":      false,
		"pip install a==1 -r r.txt --global-option=x":          false,
		"pip install a==1 -r r.txt --no-build-isolation":       false,
		"X=1 pip install a==1 -r r.txt":                        false,
		"env X=1 pip install a==1 -r r.txt":                    false,
		"export X=1; pip install a==1 -r r.txt":                false,
		"pip3 install a==1 -r r.txt":                           false,
		"pip install ./a -r r.txt":                             false,
		"pip install 'a @ https://example.com/a.zip' -r r.txt": false,
		"pip install a==1 -r r.txt && rm /x":                   false,
		"pip install $A -r r.txt":                              false,
	} {
		got, want := shellRun(text).Builds(), shellRun(one).Builds()
		if slices.Equal(got.Text.Args, want.Text.Args) != same {
			t.Errorf("%q: %q, %q", text, got.Text.Args, want.Text.Args)
		}
	}
	exec := func(args ...string) Builds { return runOf(args...).Builds() }
	if a, b := exec("pip", "install", "pip", "-r", "x"), exec("pip", "install", "b==1", "-r", "y"); !a.Sure || !slices.Equal(a.Text.Args, b.Text.Args) ||
		!slices.Equal(a.Text.Args, []string{"pip", "install", "-r"}) || !slices.Equal(b.Files, []string{"y"}) {
		t.Errorf("exec form: %+v, %+v", a, b)
	}
	for text, want := range map[string]bool{"PIP_CONSTRAINT=c.txt pip install a": true, "pip install -c c.txt a": false, "pip install --build-constraint c.txt a": true,
		"uv pip install -b c.txt a": true} {
		if got := shellRun(text).Builds().Constrained; got != want {
			t.Errorf("%q is constrained: %t", text, got)
		}
	}
}

// TestUnpinned has RUNs that build what an address has, and others.
func TestUnpinned(t *testing.T) {
	for text, want := range map[string]bool{
		"pip install https://example.com/a-1.0.tar.gz":                                              true,
		"pip install -q 'a @ http://example.com/a-1.0.tar.gz'":                                      true,
		"uv pip install b==1 'a[x] @ https://example.com/a-1.0.zip#egg=a'":                          true,
		"apt-get update; pip install b && pip wheel https://example.com/archive/v1.tar.gz":          true,
		"pip install 'a @ https://example.com/a-1.0.tar.gz#sha256=" + strings.Repeat("0", 64) + "'": false,
		"pip install https://example.com/a-1.0-py3-none-any.whl":                                    false,
		"pip install git+https://example.com/a.git":                                                 false,
		"pip install --index-url https://example.com/simple -f https://example.com/links a":         false,
		"curl -O https://example.com/a-1.0.tar.gz && pip install a":                                 false,
	} {
		if got := shellRun(text).Builds().Unpinned; got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}

// TestSeparate has RUNs in which a call is told to keep no cache, and what is executed.
func TestSeparate(t *testing.T) {
	for _, c := range []struct {
		text, want string
		n          int
	}{
		{"pip install --no-cache-dir a", "pip install                a", 0},
		{"pip install a && X=1 pip install --no-cache-dir a", "pip install a && PIP_CACHE_DIR=/c-1 X=1 pip install                a", 1},
		{"pip install --no-cache-dir a; env X=1 pip install --no-cache-dir a", "PIP_CACHE_DIR=/c-1 pip install                a; PIP_CACHE_DIR=/c-2 env X=1 pip install                a", 2},
		{"export PIP_NO_CACHE_DIR=1; pip install a; pip install a", "export PIP_NO_CACHE_DIR= ; PIP_CACHE_DIR=/c-1 pip install a; PIP_CACHE_DIR=/c-2 pip install a", 2},
		{"bash -c 'pip install --no-cache a && pip install --no-cache b'", "bash -c 'PIP_CACHE_DIR=/c-1 pip install            a && PIP_CACHE_DIR=/c-2 pip install            b'", 2},
		{"for i in 1 2; do pip install --no-cache-dir a && break; done", "for i in 1 2; do pip install                a && break; done", 0},
		{"for p in a b; do pip install --no-cache-dir $p; done", "for p in a b; do pip install                $p; done", 0},
		{"for i in 1 2; do X=$i pip install --no-cache-dir a; done", "for i in 1 2; do X=$i pip install $()--no-cache-dir a; done", 0},
		{"for i in 1 2; do pip install --no-cache-dir a -C$i; done", "for i in 1 2; do pip install $()--no-cache-dir a -C$i; done", 0},
		{"time pip install --no-cache-dir a; pip install --no-cache-dir a", "time pip install $()--no-cache-dir a; PIP_CACHE_DIR=/c-1 pip install                a", 1},
	} {
		separate, n, ok := shellRun(c.text).Separate(installer.Pip, "/c")
		if got := separate.WithCache(installer.Pip, "/c").Args[2]; got != c.want || n != c.n || !ok || !shellRun(c.text).KeepsNone(installer.Pip) {
			t.Errorf("%q became %q with %d", c.text, got, n)
		}
	}
	r := run{&shell.Command{Args: []string{"sh", "-c", "for i in 1 2; do X=$i pip install a; done"}, Env: []string{"PIP_NO_CACHE_DIR=1"}}}
	if separate, _, _ := r.Separate(installer.Pip, "/c"); separate.WithCache(installer.Pip, "/c").Args[2] != "for i in 1 2; do X=$i pip $()--no-cache-dir install a; done" {
		t.Errorf("%q", separate.Args)
	}
	for _, r := range []run{shellRun("pip install a"), {&shell.Command{Args: []string{"pip", "install", "a"}, Env: []string{"PIP_NO_CACHE_DIR="}}}} {
		if r.KeepsNone(installer.Pip) {
			t.Errorf("%q keeps no cache", r.Args)
		}
	}
}

// FuzzWithCache holds WithCache to its law: text without a word that turns the cache off, and without a command about the
// cache, is not changed; and all other words stay, in their order.
func FuzzWithCache(f *testing.F) {
	for _, seed := range []string{"pip install --no-cache-dir a && pip cache purge", "bash -c \"pip install --no-cache-dir 'a'\"",
		"export PIP_NO_CACHE_DIR=1; cat <<EOF | pip install --no-cache-dir -r -\na\nEOF", "x=$(pip cache dir) pip install -- --no-cache-dir",
		"env PIP_NO_CACHE_DIR=1 xargs pip install\t--no-cache <a", "bash <<E\npip cache purge\nE", "()000"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		before, ok := shellWords(text)
		if !ok {
			return
		}
		out := shellRun(text).WithCache(installer.Pip, "/c").Args[2]
		if !strings.Contains(text, "-no-ca") && !strings.Contains(text, "PIP_NO_CACHE_DIR") && !strings.Contains(text, "cache") && out != text {
			t.Fatalf("%q became %q", text, out)
		}
		after, ok := shellWords(out)
		if !ok {
			t.Fatalf("%q became %q, which is no shell text", text, out)
		}
		if !slices.Equal(significant(before), significant(after)) {
			t.Fatalf("%q became %q:\n%q\n%q", text, out, significant(before), significant(after))
		}
	})
}

// shellWords prints every word of a text, and of nothing that it quotes.
func shellWords(text string) (all []string, ok bool) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil {
		return nil, false
	}
	printer := syntax.NewPrinter()
	syntax.Walk(file, func(n syntax.Node) bool {
		if a, ok := n.(*syntax.Assign); ok && a.Name != nil && a.Name.Value == "PIP_NO_CACHE_DIR" {
			return false
		}
		if w, ok := n.(*syntax.Word); ok && !substitutes(w) {
			var b strings.Builder
			printer.Print(&b, w)
			all = append(all, b.String())
		}
		return true
	})
	return all, true
}

// substitutes says whether there are commands in the word: their words are listed for themselves.
func substitutes(w *syntax.Word) (found bool) {
	syntax.Walk(w, func(n syntax.Node) bool {
		switch n.(type) {
		case *syntax.CmdSubst, *syntax.ProcSubst:
			found = true
		}
		return true
	})
	return found
}

// significant leaves out what WithCache may take out or put in, also inside of quotes.
func significant(words []string) (all []string) {
	for _, w := range words {
		w = strings.NewReplacer("(unset PIP_CACHE_DIR; ", "", " || :)", "", ")", "", " ", "").Replace(w)
		for _, flag := range installer.Pip.Cache().Flags {
			w = strings.ReplaceAll(w, flag, "")
		}
		if i := strings.Index(w, "PIP_NO_CACHE_DIR="); i >= 0 {
			w = w[:i]
		}
		if w = strings.Trim(w, `'"\`); w != "" && w != "unset" && w != "PIP_CACHE_DIR" && w != ":" {
			all = append(all, w)
		}
	}
	return all
}
