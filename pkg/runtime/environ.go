// This file owns the environment of the processes of a sandbox.

package runtime

import (
	"io"
	"slices"
	"strings"
)

// environ adds HOME here, because libcontainer would read the image's /etc/passwd without any care.
func environ(s *Sandbox, open func(string) (io.ReadCloser, error)) ([]string, error) {
	env := slices.Clone(s.Env)
	for _, d := range s.Devices {
		env = append(env, d.Env...)
	}
	if slices.ContainsFunc(env, isHome) {
		return env, nil
	}
	return withHome(env, open, s.UID)
}

// environOf is the environment for a further process of a user.
func environOf(s *Sandbox, open func(string) (io.ReadCloser, error), uid int) ([]string, error) {
	env, err := environ(s, open)
	if err != nil || uid == s.UID {
		return env, err
	}
	return withHome(slices.DeleteFunc(env, isHome), open, uid)
}

// withHome adds the home of a user, as the root's /etc/passwd has it.
func withHome(env []string, open func(string) (io.ReadCloser, error), uid int) ([]string, error) {
	home, err := homeOf(open, uid)
	if err != nil {
		return nil, err
	}
	return append(env, "HOME="+home), nil
}

// isHome: an empty HOME counts as none.
func isHome(e string) bool { return strings.HasPrefix(e, "HOME=") && e != "HOME=" }
