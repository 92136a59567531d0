package config_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"minipush/internal/config"
	"minipush/internal/seal"
)

//nolint:gochecknoglobals // flags of a test binary are package variables
var update = flag.Bool("update", false, "rewrite the example file")

const exampleFile = "../../config/minipush.example.yaml"

func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "minipush.yaml")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

func TestDefaultIsValid(t *testing.T) {
	t.Parallel()
	c := config.Default()
	require.NoError(t, c.Validate())
}

func TestExampleFileHasEveryKeyWithItsDefault(t *testing.T) {
	t.Parallel()
	if *update {
		require.NoError(t, os.WriteFile(exampleFile, []byte(config.Example()), 0o644)) //nolint:gosec // a public file
	}
	text, err := os.ReadFile(exampleFile)
	require.NoError(t, err)
	require.Equal(t, config.Example(), string(text), "go test ./internal/config -run Example -update rewrites it")

	loaded, err := config.Load(exampleFile, nil)
	require.NoError(t, err)
	require.Equal(t, config.Default(), loaded.Config)

	var tree map[string]any
	require.NoError(t, yaml.Unmarshal(text, &tree))
	for _, k := range config.Keys() {
		section, key, nested := strings.Cut(k.Path, ".")
		if nested {
			require.Contains(t, tree[section], key)
		} else {
			require.Contains(t, tree, section)
		}
	}
}

func TestEverySettingIsNamedByRuleAndExplained(t *testing.T) {
	t.Parallel()
	for _, k := range config.Keys() {
		require.Equal(t, "MINIPUSH_"+strings.ToUpper(strings.ReplaceAll(k.Path, ".", "_")), k.Env)
		require.Greater(t, len(k.Doc), 15, k.Path)
		require.True(t, strings.HasSuffix(k.Doc, "."), k.Path)
		require.Contains(t, config.MarkdownTable(), "| `"+k.Path+"` | `"+k.Env+"`")
	}
	for field := range reflect.TypeFor[config.Config]().Fields() {
		require.NotEmpty(t, field.Tag.Get("doc"), field.Name)
	}
}

func TestNamesThatOthersUseExist(t *testing.T) {
	t.Parallel()
	var names []string
	for _, k := range config.Keys() {
		names = append(names, k.Env)
	}
	require.Subset(t, names, []string{
		"MINIPUSH_DATABASE_URL", "MINIPUSH_DATABASE_DIRECT_URL", "MINIPUSH_DATA_DIR", "MINIPUSH_HTTP_ADDR", "MINIPUSH_SECRET_KEY",
		"MINIPUSH_TIME_ZONE", "MINIPUSH_LOG_FORMAT", "MINIPUSH_LOG_LEVEL", "MINIPUSH_SEND_CHUNK_SIZE", "MINIPUSH_SEND_WORKERS",
		"MINIPUSH_SEND_IN_FLIGHT", "MINIPUSH_CRON_EXPIRE_FORM_IDS", "MINIPUSH_CRON_START_DUE_TASKS",
	})
}

func TestEnvironmentWinsOverFileOverDefault(t *testing.T) {
	t.Parallel()
	file := write(t, "send:\n  workers: 7\n  in_flight: 70\n  call_timeout: 9s\nimport:\n  max_file_bytes: 2MiB\nhttp:\n")
	loaded, err := config.Load(file, []string{
		"MINIPUSH_SEND_WORKERS=9", "MINIPUSH_IMPORT_MAX_CELL_BYTES=8kb", "MINIPUSH_RETENTION_JOBS=2h",
		"MINIPUSH_SEND_IN_FLIGHT=", // empty: as if it were not there
		"PATH=/bin",
	})
	require.NoError(t, err)
	require.Empty(t, loaded.Unknown)
	want := config.Default()
	want.Send.Workers, want.Send.InFlight, want.Send.CallTimeout = 9, 70, 9*time.Second
	want.Import.MaxFileBytes, want.Import.MaxCellBytes, want.Retention.Jobs = 2<<20, 8000, 2*time.Hour
	require.Equal(t, want, loaded.Config)

	var out strings.Builder
	require.NoError(t, loaded.Print(&out))
	require.Contains(t, out.String(), "\n  workers: 9 # MINIPUSH_SEND_WORKERS\n")
	require.Contains(t, out.String(), "\n  in_flight: 70 # "+file+":3\n")
	require.Contains(t, out.String(), "\n  window: 16 # default\n")
	require.Contains(t, out.String(), "\n  max_file_bytes: 2MiB # "+file+":6\n")
	again, err := config.Load(write(t, out.String()), nil)
	require.NoError(t, err, "what is printed can be read back")
	require.Equal(t, loaded.Config, again.Config)
}

func TestFileMistakesAreNamedWithTheirLine(t *testing.T) {
	t.Parallel()
	for text, message := range map[string]string{
		"http:\n  adress: x\n":              `minipush.yaml:2: http.adress: unknown key; known here: addr, ops_addr`,
		"\nsends:\n  workers: 1\n":          `minipush.yaml:2: sends: unknown key; known here: breaker, cron, data_dir, database, http,`,
		"send.workers: 4\n":                 `minipush.yaml:1: send.workers: unknown key`,
		"send:\n  send:\n    workers: 4\n":  `minipush.yaml:2: send.send: unknown key`,
		"send:\n  workers: 1\n  workers: 2": `minipush.yaml:3: send.workers: is set in line 2 already`,
		"send: {}\nsend: {}\n":              `minipush.yaml:2: send: is set in line 1 already`,
		"send:\n  workers: four\n":          `minipush.yaml:2: send.workers: "four" is not a whole number`,
		"send:\n  workers: \"4\"\n":         `minipush.yaml:2: send.workers: "4" is not a whole number`,
		"send:\n  call_timeout: 8\n":        `minipush.yaml:2: send.call_timeout: "8" is not a duration such as`,
		"import:\n  max_file_bytes: 1XB\n":  `minipush.yaml:2: import.max_file_bytes: "1XB" is not a size such as`,
		"data_dir:\n":                       `minipush.yaml:1: data_dir: has no value`,
		"data_dir: [a]\n":                   `minipush.yaml:1: data_dir: must be text`,
		"send: 4\n":                         `minipush.yaml:1: send: must be keys with values`,
		"- send\n":                          `minipush.yaml:1: settings: must be keys with values`,
		"send:\n  workers: 1\n---\nsend:\n": `holds more than one YAML document`,
		"send:\n workers: 1\n  window: 2\n": `yaml: line 3`,
		"a: &x {b: 1}\n<<: *x\n":            `minipush.yaml:2: <<: unknown key`,
		"send: &s\n  window: 2\nhttp: *s\n": `minipush.yaml:3: http: must be keys with values`,
		"send:\n  workers: 65\n":            `minipush.yaml:2: send.workers: 65 is above the maximum of 64`,
		"cron:\n  purge: '0 0 30 2 *'\n":    `minipush.yaml:2: cron.purge: bad cron spec: no date ever matches`,
	} {
		_, err := config.Load(write(t, text), nil)
		require.ErrorContains(t, err, message, text)
	}
	_, err := config.Load(filepath.Join(t.TempDir(), "none.yaml"), nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestEmptyFileSetsNothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", "---\n", "send:\n  # workers: 4\n"} {
		loaded, err := config.Load(write(t, text), nil)
		require.NoError(t, err, text)
		require.Equal(t, config.Default(), loaded.Config)
	}
}

func TestEveryMistakeIsReported(t *testing.T) {
	t.Parallel()
	_, err := config.Load(write(t, "a: 1\nb: 2\nsend:\n  workers: x\n"), nil)
	require.Len(t, strings.Split(err.Error(), "\n"), 3)

	_, err = config.Load("", []string{"MINIPUSH_SEND_WORKERS=x", "MINIPUSH_SEND_CALL_TIMEOUT=8"})
	require.EqualError(t, err, "MINIPUSH_SEND_WORKERS: \"x\" is not a whole number\n"+
		"MINIPUSH_SEND_CALL_TIMEOUT: \"8\" is not a duration such as 90s, 10m or 720h")

	_, err = config.Load("", []string{"MINIPUSH_SEND_WORKERS=0", "MINIPUSH_CRON_EXPIRE_FORM_IDS=TZ=UTC", "MINIPUSH_TIME_ZONE=Peking"})
	require.EqualError(t, err, "MINIPUSH_SEND_WORKERS: send.workers: 0 is below the minimum of 1\n"+
		"MINIPUSH_TIME_ZONE: time_zone: time zone \"Peking\" is not known\n"+
		"MINIPUSH_CRON_EXPIRE_FORM_IDS: cron.expire_form_ids: bad cron spec: it is empty")
}

func TestSignInIsSetAsAWhole(t *testing.T) {
	t.Parallel()
	whole := func(change ...string) []string {
		return append([]string{"MINIPUSH_OIDC_ISSUER=https://id.example.com/realms/a", "MINIPUSH_OIDC_CLIENT_ID=minipush"}, change...)
	}
	for _, environ := range [][]string{
		whole(), whole("MINIPUSH_OIDC_CLIENT_SECRET=s3cret", "MINIPUSH_OIDC_SCOPES=openid profile", "MINIPUSH_OIDC_LABEL=企业微信"),
		whole("MINIPUSH_OIDC_ISSUER=http://127.0.0.1:9000"), whole("MINIPUSH_OIDC_ISSUER=http://localhost:9000/x"),
	} {
		_, err := config.Load("", environ)
		require.NoError(t, err, environ)
	}
	for want, environ := range map[string][]string{
		"oidc.client_id: is empty":               {"MINIPUSH_OIDC_ISSUER=https://id.example.com"},
		"oidc.issuer: is empty":                  {"MINIPUSH_OIDC_CLIENT_SECRET=s3cret"},
		"oidc.issuer: must be https://":          whole("MINIPUSH_OIDC_ISSUER=http://id.example.com"),
		"oidc.issuer: must be a URL":             whole("MINIPUSH_OIDC_ISSUER=id.example.com"),
		`oidc.scopes: "profile" has no openid`:   whole("MINIPUSH_OIDC_SCOPES=profile"),
		"oidc.label: must be 1 to 40 characters": whole("MINIPUSH_OIDC_LABEL=" + strings.Repeat("x", 41)),
	} {
		_, err := config.Load("", environ)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "s3cret")
	}
}

func TestUnknownVariableIsAWarning(t *testing.T) {
	t.Parallel()
	loaded, err := config.Load("", []string{"MINIPUSH_PORT_8080_TCP=x", "MINIPUSH_HTTP_ADDR_FILE=/x", "MINIPUSHER=1", "MINIPUSH_HTTP_ADDR=:1"})
	require.NoError(t, err)
	require.Equal(t, []string{"MINIPUSH_HTTP_ADDR_FILE", "MINIPUSH_PORT_8080_TCP"}, loaded.Unknown)
}

func TestSecretIsReadFromAFile(t *testing.T) {
	t.Parallel()
	key := seal.GenerateKey()
	for _, ending := range []string{"", "\n", "\r\n"} {
		loaded, err := config.Load("", []string{"MINIPUSH_SECRET_KEY_FILE=" + write(t, key+ending)})
		require.NoError(t, err)
		require.Equal(t, key, loaded.Config.SecretKey.Reveal())
	}
	loaded, err := config.Load("", []string{"MINIPUSH_DATABASE_URL_FILE=" + write(t, "postgres:///x\n\n")})
	require.Error(t, err, "one newline is the editor's, two are not")
	require.Nil(t, loaded)

	_, err = config.Load("", []string{"MINIPUSH_SECRET_KEY_FILE=" + write(t, "\n")})
	require.ErrorContains(t, err, "is empty")
	_, err = config.Load("", []string{"MINIPUSH_SECRET_KEY_FILE=/nowhere/key"})
	require.ErrorContains(t, err, "MINIPUSH_SECRET_KEY_FILE")
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = config.Load("", []string{"MINIPUSH_SECRET_KEY_FILE=" + write(t, key), "MINIPUSH_SECRET_KEY=" + key})
	require.ErrorContains(t, err, "both set")
}

func TestSecretNeverPrints(t *testing.T) {
	t.Parallel()
	key := seal.GenerateKey()
	loaded, err := config.Load("", []string{"MINIPUSH_SECRET_KEY=" + key, "MINIPUSH_DATABASE_URL=postgres://u:hunter2@h/db"})
	require.NoError(t, err)

	var out bytes.Buffer
	require.NoError(t, loaded.Print(&out))
	require.Contains(t, out.String(), `secret_key: "[redacted]" # MINIPUSH_SECRET_KEY`)
	require.Contains(t, out.String(), `direct_url: "" # default`, "whether a secret is set may be seen")
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "config", loaded.Config, "key", loaded.Config.SecretKey)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "config", loaded.Config, "key", loaded.Config.SecretKey)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb, loaded.Config)           //nolint:govet // wrong verbs are the point
		fmt.Fprintf(&out, verb, loaded.Config.SecretKey) //nolint:govet // wrong verbs are the point
	}
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		text, err := marshal(loaded.Config)
		require.NoError(t, err)
		out.Write(text)
	}
	require.NotContains(t, out.String(), key)
	require.NotContains(t, out.String(), "hunter2")
	require.NotContains(t, out.String(), fmt.Sprintf("%x", key))

	for _, environ := range [][]string{{"MINIPUSH_DATABASE_URL=postgres://u:hunter2@h:port/db"}, {"MINIPUSH_SECRET_KEY=hunter2"}} {
		_, err = config.Load("", environ)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestValidateHoldsEveryLimitOnBothSides(t *testing.T) {
	t.Parallel()
	for path, sides := range map[string][2][]string{ // allowed, refused
		"SEND_CHUNK_SIZE":           {{"1", "1000"}, {"0", "1001", "-1"}},
		"SEND_WORKERS":              {{"1", "64"}, {"0", "65"}},
		"SEND_IN_FLIGHT":            {{"1", "10000"}, {"0", "10001"}},
		"SEND_WINDOW":               {{"1", "256"}, {"0", "257"}},
		"SEND_CALL_TIMEOUT":         {{"100ms", "9s"}, {"99ms", "10s", "-8s"}},
		"SEND_PERMIT_MARGIN":        {{"0s", "24h"}, {"-1s", "24h0m1s"}},
		"DATABASE_MAX_CONNS":        {{"8", "1000"}, {"7", "1001"}},
		"RETENTION_FORM_IDS":        {{"24h"}, {"23h59m"}},
		"RETENTION_JOBS":            {{"1h"}, {"59m"}},
		"IMPORT_MAX_FILE_BYTES":     {{"1kB", "10GB"}, {"999", "10000000001"}},
		"IMPORT_MAX_UNPACKED_BYTES": {{"1kB", "100GB"}, {"0", "101GB", "99999999999GB"}},
		"IMPORT_MAX_COLUMNS":        {{"1", "1000"}, {"0", "1001"}},
		"IMPORT_MAX_CELL_BYTES":     {{"64", "1MB"}, {"63", "1MiB"}},
		"IMPORT_BATCH_ROWS":         {{"100", "100000"}, {"99", "100001"}},
		"LOG_FORMAT":                {{"auto", "tint", "json"}, {"text", "JSON"}},
		"LOG_LEVEL":                 {{"debug", "info", "warn", "error"}, {"INFO", "trace"}},
		"HTTP_ADDR":                 {{"127.0.0.1:0", ":8080", "[::1]:65535"}, {"8080", "localhost", "h:65536", "h:http", "h:-1"}},
		"HTTP_OPS_ADDR":             {{"127.0.0.1:9090"}, {"127.0.0.1:8080", "x"}},
		"TIME_ZONE":                 {{"UTC", "Europe/Berlin"}, {"Local", "Peking", "../x"}},
		"CRON_PURGE":                {{"@daily", "1 2 3 4 5", "CRON_TZ=UTC 0 0 * * *"}, {"@every 1ms", "TZ=", "* * *", "0 0 31 2 *"}},
		"DATABASE_URL":              {{"postgres://h/db", "postgresql://u:p%40@h:5432/db?sslmode=disable"}, {"mysql://h/db", "h/db", "postgres://h:x/db"}},
		"DATABASE_DIRECT_URL":       {{}, {"postgres://h/db"}}, // alone it names a database that nothing else uses
		"SECRET_KEY":                {{strings.Repeat("ab", 32)}, {"abc", strings.Repeat("ab", 31)}},
	} {
		for _, value := range sides[0] {
			_, err := config.Load("", []string{"MINIPUSH_" + path + "=" + value})
			require.NoError(t, err, "%s=%s", path, value)
		}
		for _, value := range sides[1] {
			_, err := config.Load("", []string{"MINIPUSH_" + path + "=" + value})
			require.ErrorContains(t, err, "MINIPUSH_"+path, "%s=%s", path, value)
		}
	}
}

func TestSizeIsWrittenAsItIsRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]config.Size{
		"0": 0, "0B": 0, "1": 1, "4096": 4096, "100MB": 100_000_000, "100 mb": 100_000_000, "1GiB": 1 << 30, " 3KiB ": 3072, "10kB": 10_000,
	} {
		got, err := config.ParseSize(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
		again, err := config.ParseSize(got.String())
		require.NoError(t, err)
		require.Equal(t, got, again)
	}
	for _, text := range []string{"", "MB", "-1", "1.5MB", "1e3", "1 2", "9223372036854775808", "9223372037GB", "1PB", "0x10"} {
		_, err := config.ParseSize(text)
		require.Error(t, err, text)
	}
}

func TestLoggerWritesTextForPeopleAndJSONForPrograms(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		format     string
		isTerminal bool
		wantJSON   bool
	}{
		{"auto", true, false}, {"auto", false, true}, {"tint", false, false}, {"tint", true, false}, {"json", true, true}, {"json", false, true},
	} {
		var out bytes.Buffer
		log := config.NewLogger(config.Log{Format: test.format, Level: "warn"}, &out, test.isTerminal)
		log.Info("quiet")
		log.Warn("loud", "task_id", 7)
		require.NotContains(t, out.String(), "quiet")
		require.Contains(t, out.String(), "loud")
		require.Equal(t, test.wantJSON, json.Valid(out.Bytes()), "%+v: %s", test, out.String())
		require.Equal(t, !test.wantJSON && test.isTerminal, strings.Contains(out.String(), "\x1b["), "colour is for terminals")
	}
}

func TestDataDirIsOutsideOfRootsHome(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		set, goos string
		uid       int
		environ   []string
		want      string
	}{
		{"/srv/x", "linux", 0, nil, "/srv/x"},
		{"", "linux", 0, []string{"HOME=/root", "XDG_DATA_HOME=/root/data"}, "/var/lib/minipush"},
		{"", "linux", 1000, []string{"HOME=/home/u"}, "/home/u/.local/share/minipush"},
		{"", "linux", 1000, []string{"HOME=/home/u", "XDG_DATA_HOME=/data"}, "/data/minipush"},
		{"", "linux", 1000, []string{"HOME=/home/u", "XDG_DATA_HOME=data"}, "/home/u/.local/share/minipush"},
		{"", "darwin", 501, []string{"HOME=/Users/u"}, "/Users/u/Library/Application Support/minipush"},
	} {
		c := config.Config{DataDir: test.set}
		dir, err := c.ResolveDataDir(test.goos, test.uid, test.environ)
		require.NoError(t, err)
		require.Equal(t, test.want, dir)
	}
	c := config.Default()
	_, err := c.ResolveDataDir("linux", 1000, nil)
	require.ErrorContains(t, err, "MINIPUSH_DATA_DIR")
}
