package localpg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// maxSocketDir is the longest path, in bytes, whose socket file still fits the 104 bytes that the smallest system allows.
const maxSocketDir = 85

// home is <data dir>/postgres: the cluster, its locks and its pipe, owned by the account that the server runs as.
type home struct {
	dir       string
	socketDir string
	uid, gid  int
}

func (h *home) path(name string) string { return filepath.Join(h.dir, name) }

// openHome makes the directory where it is missing, and settles which account the server runs as.
func openHome(dataDir string) (*home, error) {
	if err := os.MkdirAll(dataDir, 0o755); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	dataDir, err := filepath.EvalSymlinks(dataDir)
	if err != nil {
		return nil, fmt.Errorf("find data directory: %w", err)
	}
	h := &home{dir: filepath.Join(dataDir, "postgres")}
	if err := os.Mkdir(h.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	if err := h.settleOwner(); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		if err := openTheWay(dataDir, h.uid, h.gid); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// settleOwner reads the account from the directory; root gives a new one to the account that it picks.
func (h *home) settleOwner() error {
	info, err := os.Lstat(h.dir)
	if err != nil {
		return fmt.Errorf("look at data directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", h.dir)
	}
	h.uid, h.gid = owner(info)
	if os.Geteuid() != 0 {
		if h.uid != os.Geteuid() {
			return fmt.Errorf("%s belongs to uid %d, not to you; set MINIPUSH_DATA_DIR to a directory of your own", h.dir, h.uid)
		}
		return nil
	}
	if h.uid != 0 {
		return nil // made before, or another account's: the server runs as its owner
	}
	if h.uid, h.gid, err = serverAccount(); err != nil {
		return err
	}
	if err := os.Chown(h.dir, h.uid, h.gid); err != nil {
		return fmt.Errorf("give data directory to the server's account: %w", err)
	}
	return nil
}

// serverAccount picks who runs the server for root. initdb wants an account that has a name.
func serverAccount() (uid, gid int, err error) {
	for _, name := range []string{"postgres", "_postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseInt(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseInt(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil && uid > 0 {
			return int(uid), int(gid), nil
		}
	}
	return 0, 0, errors.New("Postgres refuses to run as root, and there is no account postgres or nobody to run it as") //nolint:staticcheck // a name begins it
}

// openTheWay checks that the server's account can enter dir. Below the system's directory for temporary files, where
// directories are made closed (a test's own, say), root lets others pass through; elsewhere that is not ours to do.
func openTheWay(dir string, uid, gid int) error {
	temp, err := filepath.EvalSymlinks(os.TempDir())
	if err != nil {
		temp = os.TempDir()
	}
	for d := dir; ; d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if err != nil {
			return fmt.Errorf("look at data directory: %w", err)
		}
		if !enterable(info, uid, gid) {
			if !strings.HasPrefix(d, temp+string(filepath.Separator)) {
				return fmt.Errorf("the account that runs Postgres (uid %d) cannot enter %s; set MINIPUSH_DATA_DIR to a directory that it can reach, such as /var/lib/minipush", uid, d)
			}
			if err := os.Chmod(d, info.Mode().Perm()|0o011); err != nil {
				return fmt.Errorf("let the server's account pass: %w", err)
			}
		}
		if d == filepath.Dir(d) {
			return nil
		}
	}
}

func enterable(info fs.FileInfo, uid, gid int) bool {
	owns, group := owner(info)
	switch {
	case owns == uid:
		return info.Mode().Perm()&0o100 != 0
	case group == gid:
		return info.Mode().Perm()&0o010 != 0
	default:
		return info.Mode().Perm()&0o001 != 0
	}
}

func owner(info fs.FileInfo) (uid, gid int) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, -1
	}
	return int(st.Uid), int(st.Gid)
}

// settleSocketDir uses the home itself where its path is short enough for a socket. Otherwise it is a directory with a random
// name under /tmp, remembered in the home; one that is not ours alone any more is replaced. The caller holds start.lock.
func (h *home) settleSocketDir() error {
	if len(h.dir) <= maxSocketDir {
		h.socketDir = h.dir
		return nil
	}
	if b, err := os.ReadFile(h.path("socket_dir")); err == nil {
		dir := strings.TrimSpace(string(b))
		info, err := os.Lstat(dir)
		if err == nil && info.IsDir() && info.Mode().Perm() == 0o700 {
			if uid, _ := owner(info); uid == h.uid {
				h.socketDir = dir
				return nil
			}
		}
	}
	dir, err := os.MkdirTemp("/tmp", "minipush-")
	if err != nil {
		return fmt.Errorf("make socket directory: %w", err)
	}
	if err := os.Chown(dir, h.uid, h.gid); err != nil {
		return fmt.Errorf("make socket directory: %w", err)
	}
	h.socketDir = dir
	return h.write("socket_dir", dir+"\n")
}

// write replaces a file of the home, whole, owned by the server's account. It never follows a link that lies there.
func (h *home) write(name, content string) (err error) {
	f, err := os.CreateTemp(h.dir, "tmp-")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w", name, err)
		}
	}()
	_, err = f.WriteString(content)
	err = errors.Join(err, f.Chown(h.uid, h.gid), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), h.path(name))
}

// as makes cmd run as the server's account, in the home, with a plain environment: PG… variables of the caller would be
// taken for settings, and messages are read in English.
func (h *home) as(cmd *exec.Cmd) *exec.Cmd {
	cmd.Dir = h.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir, "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(h.uid), Gid: uint32(h.gid)} //nolint:gosec // both come from the system as such
	}
	return cmd
}
