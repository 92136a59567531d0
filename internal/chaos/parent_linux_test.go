package chaos_test

import (
	"os/exec"
	"syscall"
)

// endWithParent has the kernel kill the process when the suite dies.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
