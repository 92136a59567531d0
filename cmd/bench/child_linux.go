package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// endWithParent has the kernel kill the process when the bench dies.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// peakMemory is the most memory that the process ever had resident (VmHWM), in bytes. It must still be running.
func peakMemory(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read process status: %w", err)
	}
	return parsePeak(status)
}

// cpuTime is the processor time that the process has used, in steps of 10 ms.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read process times: %w", err)
	}
	return parseCPU(stat)
}

// parseCPU adds utime and stime of /proc/PID/stat: the 12th and 13th field after the name, which may hold blanks itself.
// They are in hundredths of a second on every Linux that Go runs on.
func parseCPU(stat []byte) (time.Duration, error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, errors.New("read process times: too few fields")
	}
	user, userErr := strconv.ParseInt(string(fields[11]), 10, 64)
	system, systemErr := strconv.ParseInt(string(fields[12]), 10, 64)
	if err := errors.Join(userErr, systemErr); err != nil {
		return 0, fmt.Errorf("read process times: %w", err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond, nil
}

// ranFor is the processor time that the threads of the process have used, to the nanosecond; those that ended count no more.
func ranFor(pid int) (total time.Duration, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, fmt.Errorf("read process times: %w", err)
	}
	for _, path := range threads {
		stat, err := os.ReadFile(path) //nolint:gosec // of /proc
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // the thread has just ended
		}
		var ran int64
		if err == nil {
			_, err = fmt.Sscan(string(stat), &ran)
		}
		if err != nil {
			return 0, fmt.Errorf("read process times: %w", err)
		}
		total += time.Duration(ran)
	}
	return total, nil
}

// parsePeak finds VmHWM in the text of /proc/PID/status.
func parsePeak(status []byte) (int64, error) {
	for line := range bytes.Lines(status) {
		rest, ok := bytes.CutPrefix(line, []byte("VmHWM:"))
		if !ok {
			continue
		}
		kb, err := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read VmHWM: %w", err)
		}
		return kb << 10, nil
	}
	return 0, fmt.Errorf("read process status: no VmHWM")
}
