package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestStart_ServerIsDurableAndOnASocketOnly(t *testing.T) {
	t.Parallel()
	s := begin(t, t.TempDir())
	for setting, want := range map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", // invariant 2
		"listen_addresses": "", "TimeZone": "UTC", "jit": "off", "server_encoding": "UTF8", "checkpoint_timeout": "15min",
		"max_connections": "200", "shared_buffers": "16MB", // the caller's setting wins
	} {
		require.Equal(t, want, query(t, s.URL(), "SHOW "+setting), setting)
	}
	require.Equal(t, "minipush minipush", query(t, s.URL(), "SELECT current_database() || ' ' || current_user"))
	info, err := os.Stat(s.home.socketDir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm(), "nobody else reaches the socket")
}

func TestStart_LongPath_SocketStaysShort(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	first := begin(t, dir)
	second := begin(t, dir)
	require.LessOrEqual(t, len(first.home.socketDir), maxSocketDir)
	require.Equal(t, first.URL(), second.URL())
	require.Equal(t, "1", query(t, second.URL(), "SELECT '1'"))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(first.home.socketDir)) })
}

func TestStart_SeveralProcesses_ShareOneServerAndTheLastStopsIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := startHelper(t, dir), startHelper(t, dir)
	c := begin(t, dir)
	const pid = "SELECT pg_read_file('postmaster.pid')"
	require.Equal(t, a.url, b.url)
	require.Equal(t, query(t, a.url, pid), query(t, c.URL(), pid), "one server")
	a.leave(t)
	require.Equal(t, "1", query(t, b.url, "SELECT '1'"), "others still use it")
	require.NoError(t, c.Stop(t.Context()))
	require.Equal(t, "1", query(t, b.url, "SELECT '1'"), "others still use it")
	b.leave(t)
	require.Zero(t, alive(t, dir), "Stop of the last one returned, so the server is gone")
}

func TestStart_FourFirstStartsAtOnce_OneCluster(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var helpers []*helper
	var waits []func()
	for range 4 {
		h, ready := launch(t, self(t), dir, nil)
		helpers, waits = append(helpers, h), append(waits, ready)
	}
	ids := map[string]bool{}
	for i, ready := range waits {
		ready()
		ids[query(t, helpers[i].url, "SELECT system_identifier::text FROM pg_control_system()")] = true
	}
	require.Len(t, ids, 1)
	left, err := filepath.Glob(filepath.Join(dir, "postgres", "unfinished-*"))
	require.NoError(t, err)
	require.Empty(t, left)
	var wg sync.WaitGroup
	for _, h := range helpers { // and leave at once, too
		wg.Go(func() { _ = h.stdin.Close(); _ = h.cmd.Wait() })
	}
	wg.Wait()
	requireGone(t, dir)
}

func TestStart_ParentKilled_LeavesNoServerAndTheNextStartPasses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := startHelper(t, dir)
	query(t, h.url, "WITH made AS (SELECT pg_catalog.set_config('a.b', 'c', false)) SELECT 'x'")
	require.Positive(t, alive(t, dir))
	h.kill(t)
	requireGone(t, dir)
	s := begin(t, dir)
	require.Equal(t, "1", query(t, s.URL(), "SELECT '1'"))
}

func TestStart_ParentKilledWhileStarting_LeavesNoServer(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, 600 * time.Millisecond} {
		dir := filepath.Join(t.TempDir(), "d")
		h, _ := launch(t, self(t), dir, nil)
		// Not a wait for a state: the point is to hit any state.
		timer := time.NewTimer(after)
		<-timer.C
		h.kill(t)
		// What was begun ends first: an initdb, or a start, which alone may take pg_ctl's two minutes on a busy machine.
		requireGoneWithin(t, dir, 2*time.Minute)
		s, err := Start(t.Context(), Config{DataDir: dir, Settings: map[string]string{"shared_buffers": "16MB"}})
		require.NoError(t, err, "killed after %v", after)
		require.NoError(t, s.Stop(t.Context()))
	}
}

func TestStart_ServerKilled_NextStartRecovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := begin(t, dir)
	conn, err := pgx.Connect(t.Context(), s.URL())
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 7 AS n")
	require.NoError(t, err)
	pid, err := s.home.postmasterPID()
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	// The first user is still there, and with it the supervisor.
	again := begin(t, dir)
	require.Equal(t, "7", query(t, again.URL(), "SELECT n::text FROM kept"))
}

func TestStart_SupervisorKilled_AnotherTakesOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := startHelper(t, dir)
	pid, err := exec.CommandContext(t.Context(), "pgrep", "-f", "minipush-postgres-supervisor.*"+dir).Output()
	if err != nil {
		t.Skip("no pgrep here to find the supervisor by")
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(pid)))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(n, syscall.SIGKILL))
	second := startHelper(t, dir)
	require.Equal(t, "1", query(t, h.url, "SELECT '1'"), "the server went on")
	second.leave(t)
	require.Equal(t, "1", query(t, h.url, "SELECT '1'"), "the first one still counts")
	h.kill(t)
	requireGone(t, dir)
}

func TestStart_StalePIDFile_OfAnotherProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := begin(t, dir)
	require.NoError(t, s.Stop(t.Context()))
	// As after a crash and a restart that gave the pid to somebody else: here to this test.
	stale := fmt.Sprintf("%d\n%s\n", os.Getpid(), s.DataDir())
	require.NoError(t, s.home.write("data/postmaster.pid", stale))
	again := begin(t, dir)
	require.Equal(t, "1", query(t, again.URL(), "SELECT '1'"))
}

func TestStart_OtherVersionsCluster_IsAnErrorThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := begin(t, dir)
	require.NoError(t, s.Stop(t.Context()))
	require.NoError(t, s.home.write("data/PG_VERSION", "11\n"))
	before := listing(t, dir)
	_, err := Start(t.Context(), Config{DataDir: dir})
	var version *VersionError
	require.ErrorAs(t, err, &version)
	require.Equal(t, 11, version.Want)
	require.ErrorContains(t, err, "Install PostgreSQL 11")
	require.Equal(t, before, listing(t, dir), "nothing was changed")
}

func TestStart_ForeignDataDirectory_IsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	theirs := filepath.Join(dir, "postgres", "data", "letter.txt")
	require.NoError(t, os.MkdirAll(filepath.Dir(theirs), 0o700))
	require.NoError(t, os.WriteFile(theirs, []byte("dear"), 0o600))
	_, err := Start(t.Context(), Config{DataDir: dir})
	require.ErrorContains(t, err, "is not a Postgres cluster")
	require.FileExists(t, theirs)
}

func TestStart_UnfinishedCluster_IsMadeAnew_FinishedOneIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	half := filepath.Join(dir, "postgres", "unfinished-1", "base")
	require.NoError(t, os.MkdirAll(half, 0o700))
	s := begin(t, dir)
	require.NoDirExists(t, half)
	id := query(t, s.URL(), "SELECT system_identifier::text FROM pg_control_system()")
	require.NoError(t, s.Stop(t.Context()))
	require.NoError(t, os.MkdirAll(half, 0o700))
	s = begin(t, dir)
	require.Equal(t, id, query(t, s.URL(), "SELECT system_identifier::text FROM pg_control_system()"))
}

func TestStart_BadSetting_ErrorCarriesTheServersWords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := Start(t.Context(), Config{DataDir: dir, Settings: map[string]string{"shared_buffers": "many"}})
	require.ErrorContains(t, err, `"shared_buffers": "many"`)
	requireGone(t, dir)
	require.Equal(t, "1", query(t, begin(t, dir).URL(), "SELECT '1'"))
}

func TestStart_NotRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("not root: every other test of this package already runs as an ordinary account")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skipf("no account to run as: %v", err)
	}
	uid, err := strconv.Atoi(nobody.Uid)
	require.NoError(t, err)
	gid, err := strconv.Atoi(nobody.Gid)
	require.NoError(t, err)

	// The test binary lies in a directory that only root can enter.
	dir, err := os.MkdirTemp("/tmp", "minipush-test-") //nolint:usetesting // its directories are closed to others
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	exe := filepath.Join(dir, "helper")
	b, err := os.ReadFile(self(t))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(exe, b, 0o755))
	data := filepath.Join(dir, "home")
	require.NoError(t, os.Mkdir(data, 0o700))
	require.NoError(t, os.Chown(data, uid, gid))

	attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	h, ready := launch(t, exe, "", attr, "HOME="+data, "XDG_DATA_HOME="+data, "XDG_CACHE_HOME="+data)
	ready()
	require.Equal(t, "1", query(t, h.url, "SELECT '1'"))
	info, err := os.Stat(filepath.Join(data, "minipush", "postgres", "data", "PG_VERSION"))
	require.NoError(t, err, "in the data home, by default")
	got, _ := owner(info)
	require.Equal(t, uid, got)

	// Root finds the same server, and the cluster still belongs to its owner.
	root := begin(t, filepath.Join(data, "minipush"))
	require.Equal(t, h.url, root.URL())
	h.kill(t)
	require.Equal(t, "1", query(t, root.URL(), "SELECT '1'"))
}

func TestStart_RootWhereTheServersAccountCannotGo_IsAnError(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	dir, err := os.MkdirTemp("/var/tmp", "minipush-test-") //nolint:usetesting // not below os.TempDir
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	_, err = Start(t.Context(), Config{DataDir: filepath.Join(dir, "x")})
	require.ErrorContains(t, err, "cannot enter "+dir)
	require.ErrorContains(t, err, "MINIPUSH_DATA_DIR")
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm(), "its permissions are not ours to change")
}

func TestStart_ContextEnds_WhileAnotherStarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h, err := openHome(dir)
	require.NoError(t, err)
	starting, err := acquire(t.Context(), h.path("start.lock"), exclusive)
	require.NoError(t, err)
	defer starting.release()
	why := errors.New("no time")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, why)
	defer cancel()
	_, err = Start(ctx, Config{DataDir: dir})
	require.ErrorIs(t, err, why)
}
