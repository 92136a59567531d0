package localpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// initialise makes the cluster if there is none. It is built under another name and renamed when complete, so that a cluster
// named data is always a whole one, whenever the process was killed. The caller holds start.lock.
func (h *home) initialise(ctx context.Context, bin binaries, progress io.Writer) error {
	data := h.path("data")
	if _, err := os.Lstat(data); err == nil {
		if v, err := h.major(); err != nil || v == 0 {
			return errors.Join(fmt.Errorf("%s exists and is not a Postgres cluster; it was left alone. Move it away, or set MINIPUSH_DATA_DIR to another directory", data), err)
		}
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look at cluster: %w", err)
	}
	unfinished, err := filepath.Glob(h.path("unfinished-*"))
	if err != nil {
		return fmt.Errorf("look for unfinished clusters: %w", err)
	}
	for _, d := range unfinished {
		if err := os.RemoveAll(d); err != nil {
			return fmt.Errorf("remove unfinished cluster: %w", err)
		}
	}
	fmt.Fprintf(progress, "Creating a private PostgreSQL %s in %s\n", bin.version, data)
	building, err := os.MkdirTemp(h.dir, "unfinished-")
	if err != nil {
		return fmt.Errorf("make cluster: %w", err)
	}
	if err := os.Chown(building, h.uid, h.gid); err != nil {
		return fmt.Errorf("make cluster: %w", err)
	}
	if err := h.build(ctx, bin, building); err != nil {
		return err
	}
	if err := os.Rename(building, data); err != nil {
		return fmt.Errorf("put cluster in place: %w", err)
	}
	return syncDir(h.dir)
}

func (h *home) build(ctx context.Context, bin binaries, dir string) error {
	// Trust is safe on a socket that only its owner and root can reach; over TCP nothing is trusted, nor listened to.
	if err := h.run(ctx, "", bin.path("initdb"), "--pgdata="+dir, "--username="+superuser,
		"--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--locale=C"); err != nil {
		return fmt.Errorf("make cluster: %w", err)
	}
	if err := h.run(ctx, "CREATE DATABASE "+database+"\n", bin.path("postgres"), "--single", "-D", dir, "postgres"); err != nil {
		return fmt.Errorf("make database: %w", err)
	}
	conf, err := os.OpenFile(filepath.Join(dir, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("make cluster: %w", err)
	}
	_, err = conf.WriteString("\n# Settings of minipush, written anew at each start. Settings below this line win over them.\ninclude_if_exists = '../minipush.conf'\n")
	if err := errors.Join(err, conf.Sync(), conf.Close()); err != nil {
		return fmt.Errorf("make cluster: %w", err)
	}
	return nil
}

// run executes a program as the server's account; what it said is in the error.
func (h *home) run(ctx context.Context, stdin, name string, args ...string) error {
	cmd := h.as(exec.CommandContext(ctx, name, args...))
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(name), err, bytes.TrimSpace(out))
	}
	return nil
}

// configure writes minipush.conf, which the server reads when it starts.
func (h *home) configure(ctx context.Context, bin binaries, extra map[string]string) error {
	settings := map[string]string{
		"listen_addresses":        "",
		"unix_socket_directories": h.socketDir,
		"unix_socket_permissions": "0700",
		// What was committed before a call must be there after any crash (invariant 2 of the design).
		"fsync":              "on",
		"full_page_writes":   "on",
		"synchronous_commit": "on",

		"shared_buffers":     "256MB",
		"max_connections":    "200",
		"checkpoint_timeout": "15min",
		"max_wal_size":       "2GB",
		"jit":                "off", // costs more than it gives on statements of a few milliseconds
		"timezone":           "UTC",
		"log_timezone":       "UTC",
		"wal_compression":    "on",
	}
	if h.accepts(ctx, bin, "wal_compression", "lz4") { // PG 15 and later, if it was built with it
		settings["wal_compression"] = "lz4"
	}
	if bin.hasLibrary(ctx, "pg_stat_statements") {
		settings["shared_preload_libraries"] = "pg_stat_statements"
	}
	maps.Copy(settings, extra)
	var b strings.Builder
	b.WriteString("# Written by minipush at each start: changes here are lost. Put yours at the end of postgresql.conf.\n")
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s = '%s'\n", k, strings.ReplaceAll(settings[k], "'", "''"))
	}
	return h.write("minipush.conf", b.String())
}

// accepts asks the server program whether it takes a setting's value.
func (h *home) accepts(ctx context.Context, bin binaries, key, value string) bool {
	return h.run(ctx, "", bin.path("postgres"), "-D", h.path("data"), "-c", key+"="+value, "-C", key) == nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}
