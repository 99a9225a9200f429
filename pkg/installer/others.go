// This file owns the Python package managers whose cache is of another kind, so that a RUN is given none for them.

package installer

var otherPrograms = map[string]Program{
	"pip-compile":  {Own: "it has a cache of its own"},
	"easy_install": {Own: "it keeps nothing that it fetches"},
	"poetry": {Own: "its cache has built packages and environments, too", Fetch: []string{"install", "add", "update", "lock", "sync"},
		Runs: &Runner{Sub: []string{"run"}, Valued: []string{"-C", "--directory", "-P", "--project"}}},
	"pipenv": {Own: "its cache has what it has resolved, too", Fetch: []string{"install", "sync", "update", "upgrade", "lock"},
		Runs: &Runner{Sub: []string{"run"}, Valued: []string{"--python"}}},
	"pdm": {Own: "its cache has built packages, too", Fetch: []string{"install", "sync", "add", "update", "lock"},
		Runs: &Runner{Sub: []string{"run"}, Valued: []string{"-p", "--project", "--venv"}}},
	"pixi": {Own: "its cache has environments, too", Fetch: []string{"install", "add", "update", "lock"},
		Runs: &Runner{Sub: []string{"run"}, Valued: []string{"-e", "--environment", "--manifest-path"}}},
}
