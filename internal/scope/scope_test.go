package scope

import (
	"os"
	"path/filepath"
	"testing"
)

// TestProjectOfContext names contexts of one project alike, and of two projects differently.
func TestProjectOfContext(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	origin := func(name, url string) {
		write(name+"/.git/config", "[core]\n\tbare = false\n[remote \"upstream\"]\n\turl = https://other.example/x\n[remote \"origin\"]\n\tfetch = x\n\tURL = "+url+"\n[branch \"main\"]\n\turl = y\n")
	}
	const team = "project:git:git.example/team/app"
	origin("https", "https://user:token@Git.example/team/app.git")
	origin("ssh", "ssh://git@git.example/team/app/")
	origin("scp", "git@git.example:team/app.git")
	origin("port", "ssh://git@git.example:2222/team/app")
	origin("local", "../bare/app.git")
	origin("file", "file:///srv/app.git")
	origin("quoted", `"https://git.example/team/app"`)
	origin("comment", `https://git.example/team/app # x`)
	write("https/service/deep/Dockerfile", "")
	write("linked/.git", "gitdir: ../https/.git/worktrees/linked\n")
	write("https/.git/worktrees/linked/commondir", "../..\n")
	write("dangling/.git", "gitdir: ../nowhere\n")
	write("odd/.git", "nonsense")
	write("none/.git/config", "[include]\n\tpath = ../../https/.git/config\n")
	write("plain/Dockerfile", "")
	write("a.tar", "")
	origin("home", "https://git.example/me/dotfiles")
	write("home/downloads/x/Dockerfile", "")
	origin("stranger", "https://git.example/team/app")
	if err := os.Symlink("../https/.git", filepath.Join(dir, "plain", ".git")); err != nil {
		t.Fatal(err)
	}
	foreign := "project:dir:" + dir + "/stranger"
	if os.Geteuid() != 0 || os.Chown(filepath.Join(dir, "stranger/.git"), 12345, 12345) != nil {
		foreign = team // only root can give it away
	}
	if err := os.Symlink("https", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for context, want := range map[string]string{
		"https": team, "ssh": team, "scp": team, "https/service/deep": team, "linked": team, "link/service": team, dir + "/https/": team,
		"https://git.example/team/app.git#main:service": team, "git@git.example:team/app.git": team, "https://u:p@git.example/team/app.git": team,
		"port":                                 "project:git:git.example:2222/team/app",
		"local":                                "project:git:" + dir + "/bare/app",
		"file":                                 "project:git:/srv/app",
		"quoted":                               "project:dir:" + dir + "/quoted",
		"comment":                              "project:dir:" + dir + "/comment",
		"dangling":                             "project:dir:" + dir + "/dangling",
		"odd":                                  "project:dir:" + dir + "/odd",
		"none":                                 "project:dir:" + dir + "/none",
		"plain":                                "project:dir:" + dir + "/plain",
		"home":                                 "project:dir:" + dir + "/home",
		"home/downloads/x":                     "project:dir:" + dir + "/home/downloads/x",
		"stranger":                             foreign,
		".":                                    "project:dir:" + dir,
		"-":                                    "project:dir:" + dir,
		"a.tar":                                "project:file:" + dir + "/a.tar",
		"https://u:p@Files.example/a.tar.gz#x": "project:url:https://files.example/a.tar.gz",
		"https://files.example/a.tar.gz?token=secret":  "project:url:https://files.example/a.tar.gz?1359227d95e1ba804467fce441aeb48f",
		"https://files.example/a.tar.gz?token=another": "project:url:https://files.example/a.tar.gz?83a5a8fd7b344c714fa93e4f9cc0afb2",
	} {
		if got := Of(context, dir+"/home"); got != want {
			t.Errorf("%s is of %q, not of %q", context, got, want)
		}
	}
	if got := Named("git:git.example/team/app"); got != "name:git:git.example/team/app" {
		t.Errorf("a scope with a name is %q", got)
	}
}
