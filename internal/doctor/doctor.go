package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"time"
)

// Config is the deployment, as the flags of m3o serve describe it.
type Config struct {
	Data        string // the data directory of the process on this machine
	DB          string // a postgres:// URL; empty: the SQLite file in Data
	Bus         string // memory, or nats:// URLs
	NATS        NATS
	NATSMonitor string   // the server's monitoring address, such as http://nats:8222; empty: none is asked
	Redis       string   // a redis:// URL; empty: none
	Gateways    []string // URLs of gateways
	Secret      string   // M3O_SECRET
	Config      string   // the configuration file
	Environ     []string // as os.Environ gives it

	Migrations fs.FS
	Version    string // of this program
	Now        func() time.Time
}

// NATS is who the process is to NATS, and whom it trusts.
type NATS struct {
	User, Password, Token, NKeyFile, CredsFile string
	TLSCA, TLSCert, TLSKey                     string
}

// Level is how a finding is to be taken.
type Level string

// The levels.
const (
	OK   Level = "ok"
	Warn Level = "warn" // it works, and should be looked at
	Fail Level = "fail" // it does not work, or money is at stake
)

// Finding is one thing that was looked at.
type Finding struct {
	Part  string `json:"part"`
	Level Level  `json:"level"`
	What  string `json:"what"`           // what was seen
	Mend  string `json:"mend,omitempty"` // what to do about it
}

// Failed says whether any finding is a failure.
func Failed(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Level == Fail })
}

// limit is how long the examination of one part may take.
const limit = 20 * time.Second

// Examine looks at every part in turn.
func Examine(ctx context.Context, c Config) []Finding {
	e := &examination{Config: c, http: &http.Client{Timeout: limit}}
	defer e.http.CloseIdleConnections()
	for _, part := range []func(context.Context){e.configuration, e.dataDirectory, e.journal, e.database, e.nats, e.redis, e.gateways} {
		func() {
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			part(ctx)
		}()
	}
	return e.findings
}

// examination gathers findings.
type examination struct {
	Config
	http     *http.Client
	findings []Finding
}

func (e *examination) ok(part, what string, args ...any) {
	e.findings = append(e.findings, Finding{Part: part, Level: OK, What: fmt.Sprintf(what, args...)})
}

func (e *examination) warn(part, mend, what string, args ...any) {
	e.findings = append(e.findings, Finding{Part: part, Level: Warn, What: fmt.Sprintf(what, args...), Mend: mend})
}

func (e *examination) fail(part, mend, what string, args ...any) {
	e.findings = append(e.findings, Finding{Part: part, Level: Fail, What: fmt.Sprintf(what, args...), Mend: mend})
}

// By how much clocks may differ. Leases of leadership last ten seconds and more, and are held against the clock of
// whoever asks.
const (
	skewWarn = 500 * time.Millisecond
	skewFail = 5 * time.Second
)

// clock compares another clock with ours; its reading was asked for at from and had come at to.
func (e *examination) clock(part string, theirs, from, to time.Time, grain time.Duration) {
	ahead := theirs.Sub(from.Add(to.Sub(from) / 2))
	unsure := to.Sub(from)/2 + grain
	const mend = "let every machine set its clock by NTP (chrony, systemd-timesyncd): leases are held against it"
	switch off := ahead.Abs() - unsure; {
	case off > skewFail:
		e.fail(part, mend, "its clock is %s", apart(ahead))
	case off > skewWarn:
		e.warn(part, mend, "its clock is %s", apart(ahead))
	default:
		e.ok(part, "its clock agrees with this machine's, as far as can be seen (± %s)", unsure.Round(time.Millisecond))
	}
}

func apart(ahead time.Duration) string {
	if ahead < 0 {
		return ahead.Abs().Round(time.Millisecond).String() + " behind this machine's"
	}
	return ahead.Round(time.Millisecond).String() + " ahead of this machine's"
}
