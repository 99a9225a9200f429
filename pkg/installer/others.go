// This file owns the Python package managers that are given no cache in a RUN, each with the reason.

package installer

var otherPrograms = map[string]Program{
	"pip-compile":  {WhyNoCache: "it has a cache of its own"},
	"easy_install": {WhyNoCache: "it keeps nothing that it fetches"},
	"poetry": {WhyNoCache: "its cache has built packages and environments, too", Fetch: []string{"install", "add", "update", "lock", "sync"},
		Runs: &Runner{Sub: []string{"run"}, Valued: []string{"-C", "--directory", "-P", "--project"}}},
	"pipenv": {WhyNoCache: "its cache has what it has resolved, too", Fetch: []string{"install", "sync", "update", "upgrade", "lock"},
		Runs: &Runner{Sub: []string{"run"}, Valued: []string{"--python"}}},
	"pdm": {WhyNoCache: "its cache has built packages, too", Fetch: []string{"install", "sync", "add", "update", "lock"},
		Runs: &Runner{Sub: []string{"run"}, Valued: []string{"-p", "--project", "--venv"}}},
	"pixi": {WhyNoCache: "its cache has environments, too", Fetch: []string{"install", "add", "update", "lock"},
		Runs: &Runner{Sub: []string{"run"}, Valued: []string{"-e", "--environment", "--manifest-path"}}},
}
