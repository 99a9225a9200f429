// This file owns what a signal does to a call that is being answered: nothing before its end.

package supervisor_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/supervisor"
)

// TestSignalsWait holds that the kernel puts a signal off until the call has its answer, so that nothing is done twice.
func TestSignalsWait(t *testing.T) {
	signalsWait(t)
	const script = `import os, signal
signal.signal(signal.SIGUSR1, lambda *a: print('signal'))
signal.siginterrupt(signal.SIGUSR1, False)
os.chroot('/')
print('done')`
	for way, printed := range ways(script) {
		t.Run(way, func(t *testing.T) {
			calls, mend := supervisor.SignalInChroot()
			defer mend()
			if got := printed(t); got != "signal\ndone" || calls.Load() != 1 {
				t.Errorf("it called %d times, and said\n%s", calls.Load(), got)
			}
		})
	}
}

// TestSignalsInTheMiddle holds that many signals make no call happen twice.
func TestSignalsInTheMiddle(t *testing.T) {
	signalsWait(t)
	const script = `import os, signal
signal.signal(signal.SIGALRM, lambda *a: None)
signal.siginterrupt(signal.SIGALRM, False)
os.setgid(1001); os.setuid(1000)
signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
for i in range(100):
    os.mkdir('/tmp/d%d'%i)
    os.close(os.open('/tmp/f%d'%i, os.O_CREAT|os.O_EXCL|os.O_WRONLY))
    assert os.stat('/tmp/d%d'%i).st_uid == 1000
signal.setitimer(signal.ITIMER_REAL, 0)
print('done')`
	for way, printed := range ways(script) {
		t.Run(way, func(t *testing.T) {
			if got := printed(t); got != "done" {
				t.Error(got)
			}
		})
	}
}

// ways are those in which a script of Python becomes a process of a sandbox, each one giving what it prints.
func ways(script string) map[string]func(*testing.T) string {
	command := []string{"/usr/bin/python3", "-c", script}
	return map[string]func(*testing.T) string{
		"first process": func(t *testing.T) string {
			root, _ := newRoot(t)
			return run(t, root, "", programs, func(s *runtime.Sandbox) { s.Args = command })
		},
		"further process": func(t *testing.T) string {
			root, _ := newRoot(t)
			return further(t, root, []runtime.ExecOptions{{Args: command}}, programs)
		},
	}
}

// signalsWait skips a test where the kernel does not know the flag of a filter that lets signals wait (Linux 5.19).
func signalsWait(t *testing.T) {
	t.Helper()
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	if _, _, err := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, 0); err != unix.EFAULT {
		t.Skip("signals end calls that are being answered here, as the kernel is older than 5.19:", err)
	}
}
