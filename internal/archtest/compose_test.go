package archtest

import (
	"encoding/base64"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

type service struct {
	Image           string
	Build           string
	Entrypoint      []string
	Command         []string
	Environment     map[string]string
	Volumes         []string
	Ports           []string
	StopGracePeriod string                       `yaml:"stop_grace_period"`
	DependsOn       map[string]map[string]string `yaml:"depends_on"`
	Healthcheck     struct{ Test []string }
}

func compose(t *testing.T) map[string]service {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root(t), "compose.yaml"))
	require.NoError(t, err)
	var file struct{ Services map[string]service }
	require.NoError(t, yaml.Unmarshal(b, &file))
	return file.Services
}

func TestCompose_StartsInOrderAndStopsInTime(t *testing.T) {
	t.Parallel()
	s := compose(t)
	require.Regexp(t, `^postgres:17`, s["postgres"].Image)
	require.Equal(t, "service_completed_successfully", s["postgres"].DependsOn["init"]["condition"])
	require.Equal(t, "service_healthy", s["migrate"].DependsOn["postgres"]["condition"])
	require.Equal(t, "service_completed_successfully", s["minipush"].DependsOn["migrate"]["condition"])
	require.Equal(t, []string{"migrate", "up"}, s["migrate"].Command[:2])
	require.Equal(t, "serve", s["minipush"].Command[0])
	require.Equal(t, "30s", s["minipush"].StopGracePeriod)
	require.Equal(t, s["migrate"].Image, s["minipush"].Image, "one image")
	for _, name := range []string{"migrate", "minipush"} {
		require.Equal(t, ".", s[name].Build, "%s: an image that is not built is looked for elsewhere", name)
	}
	require.NotEmpty(t, s["postgres"].Healthcheck.Test)
	for name, svc := range s {
		for _, port := range svc.Ports {
			require.True(t, strings.HasPrefix(port, "127.0.0.1:"), "%s publishes %s to the world", name, port)
		}
	}
}

func TestCompose_MountsTheExampleSettings(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"migrate", "minipush"} {
		svc := compose(t)[name]
		mounted := false
		for _, v := range svc.Volumes {
			from, rest, _ := strings.Cut(v, ":")
			to, _, _ := strings.Cut(rest, ":")
			if strings.HasPrefix(from, "./") {
				require.FileExists(t, filepath.Join(root(t), from))
				require.Contains(t, svc.Command, to, "%s reads what is mounted", name)
				mounted = true
			}
		}
		require.True(t, mounted, name)
	}
}

// TestCompose_Init runs the script that makes the secrets, in a directory in place of the volume, twice.
func TestCompose_Init_MakesSecretsOnceAndWhereTheyAreRead(t *testing.T) {
	t.Parallel()
	s := compose(t)
	dir := t.TempDir()
	require.Equal(t, []string{"/bin/sh", "-euc"}, s["init"].Entrypoint)
	script := strings.ReplaceAll(s["init"].Command[0], "$$", "$")
	script = regexp.MustCompile(`(?m)^(\s*)chown `).ReplaceAllString(script, "${1}: ") // the accounts of the images are not here
	script = strings.ReplaceAll(script, "/secrets", dir)
	secrets := map[string]string{}
	for range 2 {
		out, err := exec.CommandContext(t.Context(), "/bin/sh", "-euc", script).CombinedOutput()
		require.NoError(t, err, string(out))
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, entries, 3)
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			require.NoError(t, err)
			if was, again := secrets[e.Name()]; again {
				require.Equal(t, was, string(b), "%s is kept", e.Name())
			}
			secrets[e.Name()] = string(b)
			info, err := e.Info()
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), e.Name())
		}
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(secrets["secret_key"]))
	require.NoError(t, err)
	require.Len(t, key, 32)
	u, err := url.Parse(secrets["database_url"])
	require.NoError(t, err)
	password, _ := u.User.Password()
	require.Equal(t, secrets["postgres_password"], password)
	require.Len(t, password, 48)
	require.Equal(t, "postgres:5432", u.Host)
	require.Equal(t, "/"+s["postgres"].Environment["POSTGRES_DB"], u.Path)
	require.Equal(t, s["postgres"].Environment["POSTGRES_USER"], u.User.Username())

	for _, name := range []string{"migrate", "minipush"} {
		for variable, file := range s[name].Environment {
			require.True(t, strings.HasSuffix(variable, "_FILE"), "%s: no secret stands in the file", variable)
			require.Contains(t, secrets, filepath.Base(file))
		}
	}
	require.Contains(t, secrets, filepath.Base(s["postgres"].Environment["POSTGRES_PASSWORD_FILE"]))
}

// TestCompose_SaysWhereSecretsComeFrom: nobody should have to look for the first login.
func TestCompose_SaysWhereSecretsComeFrom(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join(root(t), "compose.yaml"))
	require.NoError(t, err)
	top, _, found := strings.Cut(string(b), "\nname:")
	require.True(t, found)
	for _, what := range []string{"secret key", "database password", "first login", "token create --name admin --role admin"} {
		require.Contains(t, top, what)
	}
}
