package config

import (
	"errors"
	"path/filepath"
	"strings"
)

// rootDataDir is the data directory of root: the private Postgres runs as another user then, who cannot enter root's home.
const rootDataDir = "/var/lib/minipush"

// ResolveDataDir is data_dir, or where it is empty the default for the user: /var/lib/minipush for root (uid 0), else
// minipush in the user's data home (XDG_DATA_HOME or ~/.local/share; on macOS, goos "darwin", ~/Library/Application Support).
// The directory is absolute and need not exist.
func (c *Config) ResolveDataDir(goos string, uid int, environ []string) (string, error) {
	if c.DataDir != "" {
		return filepath.Abs(c.DataDir)
	}
	if uid == 0 {
		return rootDataDir, nil
	}
	var home, dataHome string
	for _, pair := range environ {
		switch name, value, _ := strings.Cut(pair, "="); name {
		case "HOME":
			home = value
		case "XDG_DATA_HOME":
			dataHome = value
		}
	}
	switch {
	case filepath.IsAbs(dataHome): // the XDG specification: a relative one is to be ignored
		return filepath.Join(dataHome, "minipush"), nil
	case !filepath.IsAbs(home):
		return "", errors.New("no data directory: HOME is not set; set MINIPUSH_DATA_DIR")
	case goos == "darwin":
		return filepath.Join(home, "Library", "Application Support", "minipush"), nil
	default:
		return filepath.Join(home, ".local", "share", "minipush"), nil
	}
}
