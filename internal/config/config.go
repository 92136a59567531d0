// Package config holds every setting of minipush: its name, unit, default, limits and meaning, in one struct.
//
// Settings are read in this order, a later source winning:
//
//	Default() → one YAML file → environment → Validate()
//
// Invariants:
//
//  1. The [Config] struct is the only list of settings. Its tags carry the YAML key, the variable, the limits and the
//     meaning; the example file, the README table, `config print` and the checks are all made from them.
//  2. The file is strict: an unknown key, a key written twice, a key without a value and a second document are errors
//     that name file and line. Every mistake is reported, not the first alone.
//  3. A variable is MINIPUSH_ and the key path in capitals. An empty one counts as not set. A secret can be in a file
//     instead, named by the variable with _FILE at its end.
//  4. An unknown MINIPUSH_ variable is a warning and no error: Kubernetes puts MINIPUSH_PORT and the like into the
//     environment of every container beside a service called minipush.
//  5. A [Secret] prints as [redacted] wherever it is printed; [Secret.Reveal] is the only way to its text.
//
// Only commands import this package. Other packages take small configs of their own, which the commands fill.
package config

import (
	"fmt"
	"time"
	_ "time/tzdata" // time zones of settings are known in an image that has none installed
)

// Config is all settings. The zero value is not usable: start from [Default].
type Config struct {
	Database  Database  `yaml:"database" envPrefix:"DATABASE_" doc:"Postgres."`
	DataDir   string    `yaml:"data_dir" env:"DATA_DIR" doc:"Directory of the private Postgres and of files made at the first start. Empty: the user's data home, for root /var/lib/minipush."`
	HTTP      HTTP      `yaml:"http" envPrefix:"HTTP_" doc:"Addresses to listen on."`
	SecretKey Secret    `yaml:"secret_key" env:"SECRET_KEY" doc:"Seals app secrets at rest: 32 bytes in base64 or hexadecimal. With the private Postgres it may be empty: one is made and kept in the data directory."`
	TimeZone  string    `yaml:"time_zone" env:"TIME_ZONE" doc:"IANA zone of cron specs without CRON_TZ=, of quiet hours and daily caps, and of times that are shown."`
	Log       Log       `yaml:"log" envPrefix:"LOG_" doc:"Logs, on standard error."`
	OIDC      OIDC      `yaml:"oidc" envPrefix:"OIDC_" doc:"Sign-in to the console at an OpenID provider, beside the password, for accounts that an administrator linked."`
	Send      Send      `yaml:"send" envPrefix:"SEND_" doc:"Sending. Rates are limits of an app and of a task, not of a daemon, and are set there."`
	Schedule  Schedule  `yaml:"schedule" envPrefix:"SCHEDULE_" doc:"Tasks and recurring schedules whose time passed while nothing was up."`
	Breaker   Breaker   `yaml:"breaker" envPrefix:"BREAKER_" doc:"When a task stops by itself. Shares are of the last answers that one daemon has had."`
	Cron      Cron      `yaml:"cron" envPrefix:"CRON_" doc:"Cron entries: 5 fields, or 6 with seconds first, or a descriptor such as @hourly or \"@every 10s\". They run in time_zone unless they begin with CRON_TZ=. Each entry only wakes a sweeper that reads the tables, so a tick that is lost costs delay and nothing else."`
	Retention Retention `yaml:"retention" envPrefix:"RETENTION_" doc:"How long rows are kept before the purge deletes them."`
	Import    Import    `yaml:"import" envPrefix:"IMPORT_" doc:"Limits of uploaded audiences. A file over a limit is refused and the task stays as it was."`
}

// Database says where Postgres is.
type Database struct {
	URL       Secret `yaml:"url" env:"URL" doc:"postgres:// URL. Empty: a private Postgres is started in data_dir."`
	DirectURL Secret `yaml:"direct_url" env:"DIRECT_URL" doc:"The same database without a pooler in between, for workers, which need LISTEN and session locks. Empty: url is direct."`
	MaxConns  int    `yaml:"max_conns" env:"MAX_CONNS" min:"8" max:"1000" doc:"Connections of one daemon at most, without the few of the job queue."`
}

// HTTP says where the daemon listens.
type HTTP struct {
	Addr    string `yaml:"addr" env:"ADDR" doc:"host:port of the API. Port 0: the system picks one. The image sets 0.0.0.0:8080."`
	OpsAddr string `yaml:"ops_addr" env:"OPS_ADDR" doc:"host:port of /healthz, /readyz and /metrics alone, to keep them off the public address. Empty: they are on addr."`
}

// Log says how much is logged and in what form.
type Log struct {
	Format string `yaml:"format" env:"FORMAT" oneof:"auto|tint|json" doc:"Form of a line. auto: tint (coloured text) on a terminal, json otherwise."`
	Level  string `yaml:"level" env:"LEVEL" oneof:"debug|info|warn|error" doc:"The least severe level that is logged."`
}

// OIDC says at which OpenID provider people may sign in.
type OIDC struct {
	Issuer       string `yaml:"issuer" env:"ISSUER" doc:"URL of the provider, exactly as it calls itself. Empty: passwords only. It is asked when somebody first signs in, not at the start. Register there as redirect URL: the console's address and /console/login/oidc/callback."`
	ClientID     string `yaml:"client_id" env:"CLIENT_ID" doc:"What the provider calls this console."`
	ClientSecret Secret `yaml:"client_secret" env:"CLIENT_SECRET" doc:"What this console proves that by. Empty: it is a public client; PKCE is used either way."`
	Scopes       string `yaml:"scopes" env:"SCOPES" doc:"What is asked for, separated by spaces; openid has to be one of them, and is enough."`
	Label        string `yaml:"label" env:"LABEL" doc:"How people call the provider: the name on the button of the login page."`
}

// Send sizes the send path of one daemon.
type Send struct {
	ChunkSize    int           `yaml:"chunk_size" env:"CHUNK_SIZE" min:"1" max:"1000" doc:"Recipients of one chunk, the unit of a job."`
	Workers      int           `yaml:"workers" env:"WORKERS" min:"1" max:"64" doc:"Chunks that one daemon works on at a time."`
	InFlight     int           `yaml:"in_flight" env:"IN_FLIGHT" min:"1" max:"10000" doc:"Calls to the platform that one daemon makes at a time. Memory grows with it: about 40 MB with 500, 120 MB with 2000."`
	Window       int           `yaml:"window" env:"WINDOW" min:"1" max:"256" doc:"Chunk jobs that one task keeps queued or running, over all daemons."`
	CallTimeout  time.Duration `yaml:"call_timeout" env:"CALL_TIMEOUT" min:"100ms" max:"9s" doc:"Time limit of one call to the platform. A call that is cut off is ambiguous: it may have sent."`
	PermitMargin time.Duration `yaml:"permit_margin" env:"PERMIT_MARGIN" min:"0s" max:"24h" doc:"A formId is claimed until this long before it expires, since the platform's clock is not ours."`
	ResendWait   time.Duration `yaml:"resend_wait" env:"RESEND_WAIT" min:"0s" max:"24h" doc:"Channel subscribe: a recipient whose outcome is unknown, of a task that sends again, waits so long for the platform's event. At least a lease and a call."`
}

// Schedule bounds how late a scheduled task may start.
type Schedule struct {
	LateGrace time.Duration `yaml:"late_grace" env:"LATE_GRACE" min:"1m" max:"720h" doc:"With the misfire policy late, what is late by no more than this still runs; what is later is missed."`
	SkipGrace time.Duration `yaml:"skip_grace" env:"SKIP_GRACE" min:"5s" max:"1h" doc:"With the misfire policy skip, what is late by no more than this counts as on time; what is later is missed."`
}

// Breaker says when a task stops by itself, and when it goes on.
type Breaker struct {
	CanarySent         int           `yaml:"canary_sent" env:"CANARY_SENT" min:"0" max:"20" doc:"Messages of a task that are sent one by one before it goes on at full speed; again after a breaker has paused it. 0: none."`
	CanaryRefused      int           `yaml:"canary_refused" env:"CANARY_REFUSED" min:"1" max:"20" doc:"Recipients refused in a row at the start of a task, as those of another app are, that pause it."`
	Window             int           `yaml:"window" env:"WINDOW" min:"20" max:"10000" doc:"Answers that a share is taken of."`
	FailedPercent      int           `yaml:"failed_percent" env:"FAILED_PERCENT" min:"1" max:"100" doc:"Share of a task's calls that failed or found the formId dead, in per cent, that pauses the task until a person resumes it."`
	UnpermittedPercent int           `yaml:"unpermitted_percent" env:"UNPERMITTED_PERCENT" min:"1" max:"100" doc:"Share of a task's calls that the platform refused because the person allows no message (43101), in per cent, that does the same."`
	Refused            int           `yaml:"refused" env:"REFUSED" min:"1" max:"10000" doc:"Recipients refused in a row, later than at the start, that do the same."`
	TroublePercent     int           `yaml:"trouble_percent" env:"TROUBLE_PERCENT" min:"1" max:"100" doc:"Share of an app's calls without a usable answer (none, 5xx, a page, -1, no token), in per cent, that pauses the tasks of the app until the platform answers."`
	TroubleFor         time.Duration `yaml:"trouble_for" env:"TROUBLE_FOR" min:"1s" max:"1h" doc:"How long an app's calls may go without any answer; then the same."`
	ProbeFirst         time.Duration `yaml:"probe_first" env:"PROBE_FIRST" min:"100ms" max:"1h" doc:"How long after it one call tries the platform again; the wait doubles with each call that is not answered."`
	ProbeMax           time.Duration `yaml:"probe_max" env:"PROBE_MAX" min:"100ms" max:"24h" doc:"The longest wait between two such calls."`
	UsedFormIDs        int           `yaml:"used_form_ids" env:"USED_FORM_IDS" min:"2" max:"1000" doc:"Unused formIds in a row that the platform calls used: the app's tasks are held, as of a restored database."`
}

// Cron holds the specs of the cron entries.
type Cron struct {
	StartDueTasks string `yaml:"start_due_tasks" env:"START_DUE_TASKS" doc:"Starts tasks whose time has come."`
	ExpireFormIDs string `yaml:"expire_form_ids" env:"EXPIRE_FORM_IDS" doc:"Retires formIds whose time has passed."`
	Purge         string `yaml:"purge" env:"PURGE" doc:"Deletes rows that are older than the retention says."`
}

// Retention says how long rows are kept.
type Retention struct {
	FormIDs         time.Duration `yaml:"form_ids" env:"FORM_IDS" min:"24h" doc:"formIds, used or dead, counted from their expiry."`
	Recipients      time.Duration `yaml:"recipients" env:"RECIPIENTS" min:"24h" doc:"Recipients with their outcome, counted from the end of their task. The counts of the task stay."`
	ListVersions    time.Duration `yaml:"list_versions" env:"LIST_VERSIONS" min:"1h" doc:"Versions of saved lists, counted from when a newer one replaced them. The newest stays, and so does one that a task has yet to take."`
	IdempotencyKeys time.Duration `yaml:"idempotency_keys" env:"IDEMPOTENCY_KEYS" min:"1h" doc:"Idempotency keys with the answer they repeat."`
	Jobs            time.Duration `yaml:"jobs" env:"JOBS" min:"1h" doc:"Completed, canceled and discarded jobs."`
}

// Import limits uploaded files.
type Import struct {
	MaxFileBytes     Size `yaml:"max_file_bytes" env:"MAX_FILE_BYTES" min:"1kB" max:"10GB" doc:"Bytes of a file."`
	MaxUnpackedBytes Size `yaml:"max_unpacked_bytes" env:"MAX_UNPACKED_BYTES" min:"1kB" max:"100GB" doc:"Bytes of an XLSX file unpacked: it is a zip."`
	MaxColumns       int  `yaml:"max_columns" env:"MAX_COLUMNS" min:"1" max:"1000" doc:"Columns of a file."`
	MaxCellBytes     Size `yaml:"max_cell_bytes" env:"MAX_CELL_BYTES" min:"64B" max:"1MB" doc:"Bytes of a cell. A row with a longer one is rejected, the others go on."`
	BatchRows        int  `yaml:"batch_rows" env:"BATCH_ROWS" min:"100" max:"100000" doc:"Rows written in one transaction, so that a slow upload holds no lock."`
}

// Default is the settings where nothing is set.
func Default() Config {
	return Config{
		Database: Database{MaxConns: 20},
		HTTP:     HTTP{Addr: "127.0.0.1:8080"},
		TimeZone: "Asia/Shanghai",
		Log:      Log{Format: "auto", Level: "info"},
		OIDC:     OIDC{Scopes: "openid", Label: "SSO"},
		Send: Send{
			ChunkSize:    1000,
			Workers:      4,
			InFlight:     500,
			Window:       16,
			CallTimeout:  8 * time.Second,
			PermitMargin: 10 * time.Minute,
			ResendWait:   time.Minute,
		},
		Schedule: Schedule{LateGrace: 24 * time.Hour, SkipGrace: time.Minute},
		Breaker: Breaker{
			CanarySent:         5,
			CanaryRefused:      10,
			Window:             200,
			FailedPercent:      80,
			UnpermittedPercent: 50,
			Refused:            50,
			TroublePercent:     50,
			TroubleFor:         30 * time.Second,
			ProbeFirst:         30 * time.Second,
			ProbeMax:           5 * time.Minute,
			UsedFormIDs:        10,
		},
		Cron: Cron{
			StartDueTasks: "* * * * * *",
			ExpireFormIDs: "0 * * * * *",
			Purge:         "0 17 3 * * *",
		},
		Retention: Retention{
			FormIDs:         720 * time.Hour,
			Recipients:      4320 * time.Hour,
			ListVersions:    720 * time.Hour,
			IdempotencyKeys: 24 * time.Hour,
			Jobs:            168 * time.Hour,
		},
		Import: Import{
			MaxFileBytes:     100 * MB,
			MaxUnpackedBytes: GB,
			MaxColumns:       200,
			MaxCellBytes:     4096,
			BatchRows:        10_000,
		},
	}
}

// Location is the zone that time_zone names.
func (c *Config) Location() (*time.Location, error) {
	if c.TimeZone == "" || c.TimeZone == "Local" {
		return nil, fmt.Errorf("%q names no time zone; write for example Asia/Shanghai", c.TimeZone)
	}
	loc, err := time.LoadLocation(c.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("time zone %q is not known", c.TimeZone)
	}
	return loc, nil
}
