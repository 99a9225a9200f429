package caching

import (
	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/shell"
	"slices"
	"strings"
	"testing"
	"time"
)

// form is a way to call a package manager in a RUN. seen are the tools that have a cache there; in text, what stands
// between ⟦ and ⟧ is taken out. why is a part of the reason where pip, or uv for one that names uv, has none.
type form struct {
	text string
	seen string
	why  string
}

var forms = []form{
	// Heredocs that a shell reads.
	{"<<EOF bash -exo pipefail\npip install ⟦--no-cache-dir⟧ a\nEOF", "pip", ""},
	{"<<EOF bash\npip install ⟦--no-cache-dir⟧ a\nEOF", "pip", ""},
	{"<<'EOF' bash -eux\npip install ⟦--no-cache-dir⟧ a\nEOF", "pip", ""},
	{"<<\"EOF\" bash -exu -o pipefail\npip install ⟦--no-cache-dir⟧ a\nEOF", "pip", ""},
	{"bash -euxo pipefail <<EOF\npip install ⟦--no-cache-dir⟧ a\nEOF", "pip", ""},
	{"bash -o pipefail -e <<EOF\npip install ⟦--no-cache-dir⟧ a\nEOF", "pip", ""},
	{"bash -o errexit -o pipefail <<EOF\npip install ⟦--no-cache-dir⟧ a\nEOF", "pip", ""},
	{"bash -l <<EOF\npip install ⟦--no-cache-dir⟧ a\nEOF", "pip", ""},
	{"bash --login -e <<EOF\npip install ⟦--no-cache-dir⟧ a\nEOF", "pip", ""},
	{"bash --norc --noprofile <<EOF\npip install ⟦--no-cache-dir⟧ a\nEOF", "pip", ""},
	{"bash --rcfile /x <<EOF\npip install ⟦--no-cache-dir⟧ a\nEOF", "pip", ""},
	{"bash -s <<EOF\npip install ⟦--no-cache-dir⟧ a\nEOF", "pip", ""},
	{"bash -s -- one two <<EOF\npip install ⟦--no-cache-dir⟧ a\nEOF", "pip", ""},
	{"bash -xs one <<EOF\npip install ⟦--no-cache-dir⟧ a\nEOF", "pip", ""},
	{"/usr/bin/env bash -e <<EOF\npip install ⟦--no-cache-dir⟧ a\nEOF", "pip", ""},
	{"sh - <<EOF\npip install ⟦--no-cache-dir⟧ a\nEOF", "pip", ""},
	{"sh <<-EOF\n\tpip install ⟦--no-cache-dir⟧ a\n\tEOF", "pip", ""},
	{"<<ONE cat > /x && <<TWO bash -e\npip install --no-cache-dir a\nONE\npip install ⟦--no-cache-dir⟧ b\nTWO", "pip", ""},
	{"cd /src && MAX_JOBS=4 bash -ex <<EOF && rm -rf /src\npip install ⟦--no-cache-dir⟧ .\nEOF", "pip", ""},
	{"/bin/zsh -e <<EOF\npip install ⟦--no-cache-dir⟧ a\nEOF", "pip", ""},
	{"cat <<EOF | bash\npip install ⟦--no-cache-dir⟧ a\nEOF", "pip", ""},
	{"cat <<'EOF' | bash -ex -o pipefail\npip install ⟦--no-cache-dir⟧ a\nEOF", "pip", ""},
	{"cat <<EOF | tee /x\npip install --no-cache-dir a\nEOF", "", ""},
	{"bash <<< 'pip install ⟦--no-cache-dir⟧ a'", "pip", ""},
	{"bash -e <<<\"pip install ⟦--no-cache-dir⟧ a\"", "pip", ""},
	{"echo 'pip install ⟦--no-cache-dir⟧ a' | sh", "pip", ""},
	{"echo -e \"set -e\\npip install ⟦--no-cache-dir⟧ a\" | bash -x", "pip", ""},
	{"printf '%s\\n' 'pip install ⟦--no-cache-dir⟧ a' | sh -e", "pip", ""},
	{"echo pip install ⟦--no-cache-dir⟧ a | sh", "pip", ""},
	{"echo 'pip install --no-cache-dir a' > /x.sh", "", ""},

	// Scripts that the RUN itself writes.
	{"cat <<EOF > /x.sh && bash /x.sh\npip install a\nEOF", "pip", ""},
	{"<<EOF cat > x.sh; chmod +x x.sh; ./x.sh\n#!/bin/bash\npip install a\nEOF", "pip", ""},
	{"tee /x.sh <<EOF >/dev/null; sh /x.sh\npip install --no-cache-dir a\nEOF", "", "--no-cache-dir in /x.sh turns it off"},
	{"cat <<EOF > /x.sh && bash /y.sh\npip install a\nEOF", "", ""},

	// Text that is given to a shell as a word.
	{"bash -c 'pip install ⟦--no-cache-dir⟧ '\"$PKG\"", "pip", ""},
	{"bash -c $'set -e\\npip install ⟦--no-cache-dir⟧ a'", "pip", ""},
	{"bash -c 'pip install ⟦--no-cache-dir⟧ a'", "pip", ""},
	{"bash -lc \"pip install ⟦--no-cache-dir⟧ a\"", "pip", ""},
	{"bash -euo pipefail -c 'pip install ⟦--no-cache-dir⟧ a'", "pip", ""},
	{"bash -euxo pipefail -c -- 'pip install ⟦--no-cache-dir⟧ a'", "pip", ""},
	{"exec bash -ic 'pip install ⟦--no-cache-dir⟧ a'", "pip", ""},
	{"bash -c \"bash -c 'pip install ⟦--no-cache-dir⟧ a'\"", "pip", ""},
	{"busybox sh -c 'pip install ⟦--no-cache-dir⟧ a'", "pip", ""},
	{"eval 'pip install ⟦--no-cache-dir⟧ a'", "pip", ""},
	{"eval pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"trap 'pip install ⟦--no-cache-dir⟧ a' EXIT", "pip", ""},
	{"flock /tmp/l -c 'pip install ⟦--no-cache-dir⟧ a'", "pip", ""},
	{"flock -w 5 /tmp/l pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"script -qec 'pip install a' /dev/null", "", ""},
	{"script -q -c 'pip install ⟦--no-cache-dir⟧ a' /dev/null", "pip", ""},
	{"scl enable rh-python38 'pip install ⟦--no-cache-dir⟧ a'", "pip", ""},
	{"scl enable gcc-toolset-12 -- pip install ⟦--no-cache-dir⟧ a", "pip", ""},

	// Programs that run another in an environment.
	{"conda run -n e pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"conda run --no-capture-output -p /x pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"conda run --name e python -m pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"conda run -n e bash -c 'pip install ⟦--no-cache-dir⟧ a'", "pip", ""},
	{"mamba run -n e pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"/opt/conda/bin/mamba run -n e --live-stream pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"micromamba run -n base pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"micromamba run --clean-env pip install --no-cache-dir a", "", "--clean-env"},
	{"poetry run pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"poetry -C /src run python -m pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"pipenv run pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"pdm run pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"hatch run pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"hatch run test:pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"pixi run -e x pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"uv run pip install ⟦--no-cache-dir⟧ a", "pip uv", ""},
	{"uv run --with pip --python 3.12 pip install ⟦--no-cache-dir⟧ a", "pip uv", ""},
	{"pyenv exec pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"mise exec python@3.12 -- pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"direnv exec . pip install ⟦--no-cache-dir⟧ a", "pip", ""},

	// Other users, and cleared environments.
	{"sudo pip install --no-cache-dir a", "", "behind sudo, which clears"},
	{"sudo -u app pip install --no-cache-dir a", "", "behind sudo, which clears"},
	{"sudo bash -c 'pip install --no-cache-dir a'", "", "behind sudo"},
	{"sudo -E pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"sudo -HE pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"sudo --preserve-env pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"sudo -E -u app pip install --no-cache-dir a", "", "whose cache it would not be"},
	{"sudo --preserve-env=PATH pip install --no-cache-dir a", "", "behind sudo, which clears"},
	{"s6-setuidgid app pip install --no-cache-dir a", "", "behind s6-setuidgid"},
	{"chpst -u app pip install --no-cache-dir a", "", "behind chpst"},
	{"gosu app pip install --no-cache-dir a", "", "behind gosu"},
	{"gosu root pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"su-exec app:app pip install --no-cache-dir a", "", "behind su-exec"},
	{"runuser -u app -- pip install --no-cache-dir a", "", "behind runuser"},
	{"runuser app -c 'pip install --no-cache-dir a'", "", "behind runuser"},
	{"runuser -u root -- pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"setpriv --reuid 1000 --clear-groups pip install --no-cache-dir a", "", "behind setpriv"},
	{"setpriv --no-new-privs pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"su - app -c 'pip install --no-cache-dir a'", "", "behind su -"},
	{"su app -c 'pip install --no-cache-dir a'", "", "behind su"},
	{"su -c 'pip install ⟦--no-cache-dir⟧ a'", "pip", ""},
	{"chroot /x pip install --no-cache-dir a", "", "behind chroot"},
	{"env -i pip install --no-cache-dir a", "", "behind env -i"},
	{"doas pip install --no-cache-dir a", "", "behind doas"},
	{"pip install --no-cache-dir a && gosu app pip install --no-cache-dir b", "", "behind gosu"},
	{"pip install ⟦--no-cache-dir⟧ a && sudo pip install --no-cache-dir b", "pip", ""},

	// Variables, and programs that are looked for.
	{`"$PIP" install ⟦--no-cache-dir⟧ a`, "pip", ""},
	{"$PIP install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"${PIP3} install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"$VENV_PIP install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"${PYTHON} -m pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"${PYTHON:-python3} -m pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{`"${PYBIN}/pip" install ⟦--no-cache-dir⟧ a`, "pip", ""},
	{"PIP='python3 -m pip' && $PIP install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"export INSTALL='pip install'; $INSTALL ⟦--no-cache-dir⟧ a", "pip", ""},
	{"$INSTALLER ⟦--no-cache-dir⟧ a", "pip", ""}, // the environment has it
	{"$(which pip) install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"`which python3` -m pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"\"$(command -v pip3)\" install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"$(pyenv which pip) install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"\\pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"pip install $OFF a", "", "value of a variable"},
	{"$UV pip install ⟦--no-cache⟧ a", "uv", ""},

	// Shell grammar.
	{"source venv/bin/activate && pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{". venv/bin/activate; pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"if [ -f r.txt ]; then pip install ⟦--no-cache-dir⟧ -r r.txt; fi", "pip", ""},
	{"for i in a b; do pip install ⟦--no-cache-dir⟧ $i; done", "pip", ""},
	{"for py in python3.10 python3.11; do $py -m pip install ⟦--no-cache-dir⟧ a; done", "pip", ""},
	{"while read p; do pip install ⟦--no-cache-dir⟧ $p; done < list", "pip", ""},
	{"until pip install ⟦--no-cache-dir⟧ a; do sleep 1; done", "pip", ""},
	{"case $A in x) pip install ⟦--no-cache-dir⟧ a;; esac", "pip", ""},
	{"f() { pip install ⟦--no-cache-dir⟧ \"$@\"; }; f a", "pip", ""},
	{"function again { \"$@\" || \"$@\"; }; again pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"(cd /x && pip install ⟦--no-cache-dir⟧ a)", "pip", ""},
	{"{ pip install ⟦--no-cache-dir⟧ a; } 2>&1 | tee log", "pip", ""},
	{"! pip install ⟦--no-cache-dir⟧ a || true", "pip", ""},
	{"pip install ⟦--no-cache-dir⟧ a & wait", "pip", ""},
	{"time pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"yes | pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"A=1 B=2 pip install ⟦--no-cache-dir⟧ a", "pip", ""},

	// Commands before it.
	{"exec pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"command pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"command -v pip", "", ""},
	{"nice -n 10 pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"ionice -c3 nice pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"timeout -k 5 60 pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"timeout --signal=KILL 1h pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"env -u X A=1 pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"env -S 'pip install' ⟦--no-cache-dir⟧ a", "pip", ""},
	{"stdbuf -oL pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"/usr/bin/time -v pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"taskset -c 0-3 pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"xargs pip install ⟦--no-cache-dir⟧ < list", "pip", ""},
	{"xargs -a list -n1 pip install ⟦--no-cache-dir⟧", "pip", ""},
	{"grep -v '#' list | xargs -n 1 -P 4 python3 -m pip install ⟦--no-cache-dir⟧", "pip", ""},
	{"xargs -I{} sh -c 'pip install ⟦--no-cache-dir⟧ {}' < list", "pip", ""},
	{"find . -name '*.whl' -exec pip install ⟦--no-cache-dir⟧ {} +", "pip", ""},
	{"parallel pip install ⟦--no-cache-dir⟧ ::: a b", "pip", ""},
	{"parallel 'pip install ⟦--no-cache-dir⟧ {}' ::: a b", "pip", ""},
	{"retry -t 3 -- pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"with-proxy pip install --no-cache-dir a", "", "behind with-proxy"},
	{"pip install ⟦--no-cache-dir⟧ a && with-proxy pip install --no-cache-dir b", "pip", ""},
	{"$SUDO pip install --no-cache-dir a", "", "only the shell knows"},
	{"${SUDO:-} pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"timeout 60 echo pip install --no-cache-dir a", "", ""},
	{"nice make pip", "", ""},

	// Names of pip.
	{"pip3.11 install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"/opt/venv/bin/pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"./venv/bin/python -m pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"pypy3 -m pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"python -u -m pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"python -W ignore -mpip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"python -Im pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"python3 -X dev -m pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"python3 /usr/bin/pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"python3 $(which pip) install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"python3 /tmp/pip.pyz install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"python3 pip-24.0-py3-none-any.whl/pip install ⟦--no-cache-dir⟧ a", "pip", ""},
	{"python get-pip.py ⟦--no-cache-dir⟧", "pip", ""},
	{"curl -sS https://x.example/get-pip.py | python3", "pip", ""},
	{"curl -sSL https://install.python-poetry.org | POETRY_HOME=/p python3 -", "pip", ""},
	{"pip wheel ⟦--no-cache-dir⟧ -w /w .", "pip", ""},
	{"pip download ⟦--no-cache-dir⟧ a", "pip", ""},
	{"pip lock ⟦--no-cache-dir⟧ a", "pip", ""},
	{"pip list --no-cache-dir", "", ""},
	{"python -c 'import pip; pip.main([\"install\", \"a\"])'", "pip", ""},
	{"python - <<EOF\nimport subprocess, sys\nsubprocess.check_call([sys.executable, '-m', 'pip', 'install', 'a'])\nEOF", "pip", ""},
	{"python -c 'import os; os.system(\"pip install --no-cache-dir a\")'", "", "another language"},
	{"python -c 'import torch'", "", ""},
	{"python -m spacy download en_core_web_sm", "pip", ""},
	{"mim install mmcv", "pip", ""},
	{"pre-commit install-hooks", "pip", ""},
	{"python -m ensurepip", "", ""},

	// Programs that call pip or uv.
	{"python setup.py install", "pip", ""},
	{"python3 setup.py develop", "pip", ""},
	{"python -m build", "pip", ""},
	{"pyproject-build .", "pip", ""},
	{"python -m piptools sync r.txt", "pip", ""},
	{"pip-sync", "pip", ""},
	{"pip-compile r.in", "", "pip-compile is given none"},
	{"tox -e py312", "pip", ""},
	{"python -m nox -s tests", "pip", ""},
	{"hatch build", "pip", ""},
	{"hatch version", "", ""},
	{"pipx install a", "pip", ""},
	{"pipx run a --no-cache", "pip", ""},
	{"pipx inject a b", "pip", ""},
	{"pipx list", "", ""},
	{"poetry install --no-root", "", "poetry is given none"},
	{"python -m poetry add a", "", "poetry is given none"},
	{"poetry config virtualenvs.create false", "", ""},
	{"pipenv sync --system", "", "pipenv is given none"},
	{"pdm install", "", "pdm is given none"},
	{"easy_install a", "", "easy_install is given none"},
	{"conda env create -f e.yml", "pip conda", ""},
	{"conda env update --file e.yml", "pip conda", ""},
	{"mamba env create -f e.yaml", "pip conda", ""},
	{"micromamba create -y -n e -f e.yaml", "pip conda", ""},
	{"micromamba install -y --file=e.yaml", "pip conda", ""},
	{"conda install -y a", "conda", ""},
	{"conda create -n e python=3.12 && conda run -n e pip install ⟦--no-cache-dir⟧ a", "pip conda", ""},
	{"conda env list", "", ""},

	// uv.
	{"uv pip install ⟦--no-cache⟧ a", "uv", ""},
	{"uv ⟦--no-cache⟧ sync", "uv", ""},
	{"python -m uv pip install ⟦--no-cache-dir⟧ a", "uv", ""},
	{"uv run --no-sync ⟦--no-cache⟧ make --no-cache -n", "uv", ""},
	{"uv tool run ⟦-n⟧ make -n", "uv", ""},
	{"uv tool install ⟦-n⟧ ruff", "uv", ""},
	{"uvx ⟦--no-cache⟧ ruff --no-cache", "uv", ""},
	{"uvx --from pip pip install ⟦--no-cache-dir⟧ a", "pip uv", ""},
	{"uv add a && uv lock && uv venv --seed && uv build", "uv", ""},
	{"uv --version", "", ""},
	{"uv cache clean", "", ""},
	{"gosu app uv sync", "", "behind gosu"},
	{"rye sync", "uv", ""},
}

func TestForms(t *testing.T) {
	for _, f := range forms {
		text := strings.NewReplacer("⟦", "", "⟧", "").Replace(f.text)
		r := shellRun(text)
		r.Dir = "/"
		r.Env = []string{"OFF=--no-cache-dir", "INSTALLER=pip install"}
		checkForm(t, f, r)
		blanked := ""
		for i, part := range strings.FieldsFunc(f.text, func(c rune) bool { return c == '⟦' || c == '⟧' }) {
			if i%2 == 1 {
				part = strings.Repeat(" ", len(part))
			}
			blanked += part
		}
		for _, tool := range installer.Tools {
			if r.Fetches(tool) && (tool == installer.Pip || tool == installer.Uv) {
				r = r.WithCache(tool, "/c")
			}
		}
		if got := r.Args[2]; got != blanked {
			t.Errorf("%q\nbecame %q\n  want %q", text, got, blanked)
		}
	}
	if len(forms) < 120 {
		t.Errorf("%d forms only", len(forms))
	}
}

func checkForm(t *testing.T, f form, r run) {
	t.Helper()
	var seen []string
	for _, tool := range []installer.Tool{installer.Pip, installer.Uv, installer.Conda, installer.Npm} {
		if r.Fetches(tool) {
			seen = append(seen, string(tool))
		}
	}
	if got := strings.Join(seen, " "); got != f.seen {
		t.Errorf("%q: has %q, want %q", f.text, got, f.seen)
	}
	tool := installer.Pip
	if strings.Contains(f.text, "uv ") {
		tool = installer.Uv
	}
	if why := r.Uncached(tool); f.why == "" && why != "" || !strings.Contains(why, f.why) {
		t.Errorf("%q: has none because %q, want %q", f.text, why, f.why)
	}
}

// The SHELL of the Dockerfile, and the exec form of RUN.
func TestFormsOfArguments(t *testing.T) {
	for _, c := range []struct {
		args []string
		want int // the argument whose option is taken out; -1: none
	}{
		{[]string{"/usr/bin/env", "bash", "-c", "pip install --no-cache-dir a"}, 3},
		{[]string{"/bin/bash", "-o", "pipefail", "-c", "pip install --no-cache-dir a"}, 4},
		{[]string{"/bin/bash", "-euxo", "pipefail", "-c", "pip install --no-cache-dir a"}, 4},
		{[]string{"/bin/bash", "-lc", "pip install --no-cache-dir a"}, 2},
		{[]string{"/bin/bash", "--login", "-c", "pip install --no-cache-dir a"}, 3},
		{[]string{"conda", "run", "--no-capture-output", "-n", "e", "/bin/bash", "-c", "pip install --no-cache-dir a"}, 7},
		{[]string{"micromamba", "run", "-n", "e", "bash", "-ec", "pip install --no-cache-dir a"}, 6},
		{[]string{"/usr/bin/env", "-S", "bash -e", "-c", "pip install --no-cache-dir a"}, 4},
		{[]string{"sh", "-c", "pip install --no-cache-dir a"}, 2},
		{[]string{"/usr/local/bin/_dockerfile_shell.sh", "pip install --no-cache-dir a"}, 1},
		{[]string{"sudo", "sh", "-c", "pip install --no-cache-dir a"}, -1},
	} {
		r := run{&shell.Command{Args: c.args, Dir: "/"}}
		if got := r.Fetches(installer.Pip); got != (c.want >= 0) {
			t.Errorf("%q fetches: %t", c.args, got)
		}
		for i, a := range r.WithCache(installer.Pip, "/c").Args {
			if changed := a != c.args[i]; changed != (i == c.want) {
				t.Errorf("%q: argument %d became %q", c.args, i, a)
			}
		}
	}
	for _, args := range [][]string{
		{"pip", "install", "a"}, {"python3", "-m", "pip", "install", "a"}, {"/opt/venv/bin/pip", "install", "a"}, {"timeout", "60", "pip", "install", "a"},
	} {
		given := slices.Concat(args, []string{"--no-cache-dir"})
		if r := runOf(given...); !r.Fetches(installer.Pip) || !slices.Equal(r.WithCache(installer.Pip, "/c").Args, args) {
			t.Errorf("%q: %q", given, r.WithCache(installer.Pip, "/c").Args)
		}
	}
}

// First lines that name a shell.
func TestFormsOfFirstLines(t *testing.T) {
	for line, want := range map[string]bool{
		"#!/bin/bash": true, "#!/bin/bash -ex": true, "#! /bin/sh": true, "#!/usr/bin/env bash": true, "#!/usr/bin/env -S bash -e": true,
		"#!/usr/bin/env -S A=1 bash -euo pipefail": true, "#!/bin/busybox sh": true, "#!/usr/bin/env zsh": true, "#!bash": true,
		"#!/usr/bin/env -iS bash": false, "#!/usr/bin/env python3": false, "#!/usr/bin/perl": false,
	} {
		r := run{&shell.Command{Args: []string{"/dev/pipes/EOF"}, Files: []string{line + "\npip install --no-cache-dir a\n"}}}
		if got := r.Fetches(installer.Pip); got != want {
			t.Errorf("%q: %t", line, got)
		}
	}
}

// Scripts of the files before the RUN count, and are not changed.
func TestScripts(t *testing.T) {
	files := map[string]string{
		"/src/scripts/install.sh": "#!/bin/bash -e\ncd /src\npip install -r r.txt\n",
		"/src/off.sh":             "pip install --no-cache-dir a\n",
		"/src/purge.sh":           "pip install a; pip cache purge\n",
		"/src/outer.sh":           "#!/usr/bin/env bash\nset -e\nbash scripts/install.sh \"$@\"\n",
		"/src/own.sh":             "export PIP_CACHE_DIR=/c; pip install a\n",
		"/src/self.sh":            "bash /src/self.sh\n",
		"/src/tool.py":            "#!/usr/bin/env python3\npip install a\n",
		"/src/elf":                "\x7fELF\x00pip install a",
		"/src/scripts/all.sh":     "#!/bin/sh\n./install.sh\n",
		"/env.sh":                 "export A=1\n. /src/scripts/install.sh\n",
	}
	read := func(name string) ([]byte, error) { return []byte(files[name]), nil }
	for _, f := range []form{
		{"bash scripts/install.sh", "pip", ""},
		{"./scripts/install.sh", "pip", ""},
		{"/src/scripts/install.sh --all", "pip", ""},
		{"cd scripts && sh -x install.sh", "pip", ""},
		{"chmod +x outer.sh && ./outer.sh", "pip", ""},
		{"source scripts/install.sh", "pip", ""},
		{". /env.sh", "pip", ""},
		{"cd scripts && ./all.sh", "pip", ""},
		{"bash -ex < scripts/install.sh", "pip", ""},
		{"cat scripts/install.sh | bash", "pip", ""},
		{"timeout 600 bash ./scripts/install.sh", "pip", ""},
		{"bash -c 'scripts/install.sh'", "pip", ""},
		{"sudo ./scripts/install.sh", "", "behind sudo"},
		{"gosu app ./scripts/install.sh", "", "behind gosu"},
		{"bash off.sh", "", "--no-cache-dir in /src/off.sh turns it off"},
		{"bash off.sh && pip install b", "pip", ""},
		{"bash purge.sh", "", "pip cache in /src/purge.sh is about the cache itself"},
		{"bash own.sh", "pip", "the RUN has a place of its own for it"},
		{"bash self.sh", "", ""},
		{"./tool.py", "", ""},
		{"./elf", "", ""},
		{"bash missing.sh", "", ""},
	} {
		r := shellRun(f.text)
		r.Dir = "/src"
		r = r.WithScripts(read)
		checkForm(t, f, r)
		if got := r.WithCache(installer.Pip, "/c").Args[2]; got != f.text {
			t.Errorf("%q became %q", f.text, got)
		}
	}
}

// Text that is nested as deeply as its length allows is read in little time, and longer text not at all.
func TestDeepText(t *testing.T) {
	for _, unit := range []string{"( ", "$( ", "{ ", "if ", "f() ", "a | ", "${a:-", "bash -c '", "eval "} {
		r := shellRun(strings.Repeat(unit, (shell.MaxScript-20)/len(unit)) + "pip install a")
		start := time.Now()
		r.Fetches(installer.Pip)
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%q took %v", unit, took)
		}
	}
	double := "a=xxxxxxxx;"
	for range 60 {
		double += "b=$a$a$a; a=$b$b$b;"
	}
	if r := shellRun(double + strings.Repeat("$a ", 10000) + "; pip install $a"); !r.Fetches(installer.Pip) {
		t.Error("doubled values hide a call")
	}
	long := shellRun(strings.Repeat(":;", shell.MaxScript/2) + "pip install a")
	if long.Fetches(installer.Pip) || !strings.Contains(long.Uncached(installer.Pip), "is longer than 65536 bytes") {
		t.Errorf("a long text: %q", long.Uncached(installer.Pip))
	}
}
