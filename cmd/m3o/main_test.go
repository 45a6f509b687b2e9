package main_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"m3o/internal/app/apptest"
)

// binary builds the program once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "m3o-test")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "m3o")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", &exec.Error{Name: string(out), Err: err}
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// result is how a run ended.
type result struct {
	code     int
	out, err string
}

// m3o runs the program in an empty directory; env lines are NAME=value.
func m3o(t *testing.T, env []string, args ...string) result {
	t.Helper()
	command := prepared(t, env, args...)
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return result{command.ProcessState.ExitCode(), out.String(), errs.String()}
}

func prepared(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), path, args...)
	command.Dir = t.TempDir()
	command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + command.Dir}, env...)
	return command
}

func TestWhatIsWrongIsOneSentence(t *testing.T) {
	t.Parallel()
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = port.Close() })
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	free := "--listen=127.0.0.1:0"
	for name, c := range map[string]struct {
		args []string
		env  []string
		code int
		want string
	}{
		"WrongFlag":         {[]string{"--lisen=:1"}, nil, 2, `unknown flag --lisen`},
		"WrongCommand":      {[]string{"serv"}, nil, 2, "serv"},
		"NoArgument":        {[]string{"call"}, nil, 2, "<service>"},
		"PortInUse":         {[]string{"--listen=" + port.Addr().String()}, nil, 1, "is in use by another program"},
		"NoPostgres":        {[]string{free, "--db=postgres://127.0.0.1:1/m3o", "--patience=100ms", "--log=error"}, nil, 1, "Postgres was not there for 100ms: cannot reach the database"},
		"NoPostgresByEnv":   {[]string{free}, []string{"M3O_DB=postgres://127.0.0.1:1/m3o", "M3O_PATIENCE=100ms", "M3O_LOG=error"}, 1, "cannot reach the database"},
		"NoPatience":        {[]string{free, "--patience=-1s"}, nil, 1, "--patience -1s: give a time"},
		"NotPostgres":       {[]string{free, "--db=mysql://x"}, nil, 1, "--db takes a postgres:// URL"},
		"BadDirectory":      {[]string{free, "--data=" + filepath.Join(file, "data")}, nil, 1, "cannot be made"},
		"BadLog":            {[]string{free, "--log=loud"}, nil, 1, "--log loud"},
		"NATS":              {[]string{free, "--bus=nats://127.0.0.1"}, nil, 1, "M3O_SECRET is needed with --bus"},
		"Redis":             {[]string{free, "--redis=http://127.0.0.1"}, nil, 1, "--redis"},
		"SomeServices":      {[]string{free, "--services=helloworld", "--services=keys"}, nil, 1, "keys calls customers"},
		"HalfAnAdmin":       {[]string{free}, []string{"M3O_ADMIN_EMAIL=a@example.com"}, 1, "belong together"},
		"NoConfig":          {[]string{free, "--config=none.yaml"}, nil, 1, "none.yaml"},
		"CallWithoutKey":    {[]string{"call", "helloworld", "call"}, nil, 1, "M3O_API_TOKEN"},
		"CallBadJSON":       {[]string{"call", "helloworld", "call", "{"}, []string{"M3O_API_TOKEN=x"}, 1, "not valid JSON"},
		"CallNobody":        {[]string{"call", "helloworld", "call"}, []string{"M3O_API_TOKEN=x", "M3O_ADDRESS=http://127.0.0.1:1"}, 1, "cannot be reached"},
		"CallBadAddress":    {[]string{"call", "helloworld", "call"}, []string{"M3O_API_TOKEN=x", "M3O_ADDRESS=:"}, 1, "is not a URL"},
		"BackupOfNothing":   {[]string{"backup", "copy.db"}, nil, 1, "there is no database"},
		"GenerateOutside":   {[]string{"generate"}, nil, 1, "go.mod"},
		"BackupOfPostgres":  {[]string{"backup", "--db=postgres://127.0.0.1:1/m3o", "copy.db"}, nil, 1, "cannot reach the database"},
		"RestoreOfNothing":  {[]string{"restore", "none"}, nil, 1, "cannot be read"},
		"RestoreOfAnother":  {[]string{"restore", file}, nil, 1, "is not a backup"},
		"HealthOfNobody":    {[]string{"health", "--listen=127.0.0.1:1"}, nil, 1, "does not answer"},
		"HealthOfNothing":   {[]string{"health", "--listen=8080"}, nil, 1, "is no address"},
		"DoctorNotPostgres": {[]string{"doctor", "--db=mysql://x"}, nil, 1, "--db takes a postgres:// URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := m3o(t, c.env, c.args...)
			said := strings.TrimSuffix(got.err, "\n")
			if got.code != c.code || !strings.Contains(said, c.want) || strings.Contains(said, "\n") || got.out != "" {
				t.Errorf("exit %d, stderr %q, stdout %q", got.code, got.err, got.out)
			}
		})
	}
}

func TestHelpNamesEveryFlagWithItsVariable(t *testing.T) {
	t.Parallel()
	got := m3o(t, nil, "serve", "--help")
	for _, flag := range []string{"listen", "data", "db", "bus", "redis", "services", "config", "log", "no-demo"} {
		variable := "$M3O_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
		if got.code != 0 || !strings.Contains(got.out, "--"+flag) || !strings.Contains(got.out, variable) {
			t.Errorf("exit %d: --help does not show --%s and %s:\n%s", got.code, flag, variable, got.out)
		}
	}
}

func TestServesUntilASignal(t *testing.T) {
	t.Parallel()
	command := prepared(t, []string{"M3O_LISTEN=127.0.0.1:0", "M3O_LOG=info,json"})
	var logs bytes.Buffer
	command.Stderr = &logs
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	line, key := firstCall(t, out)
	pasted, err := exec.Command("sh", "-c", line).Output()
	if err != nil || !strings.Contains(string(pasted), "Hello John") {
		t.Errorf("%s: %v %s", line, err, pasted)
	}
	address, _, _ := strings.Cut(strings.TrimPrefix(line, "curl "), "/v1/")
	got := m3o(t, []string{"M3O_ADDRESS=" + address, "M3O_API_TOKEN=" + key}, "call", "helloworld", "call", `{"name":"Jane"}`)
	if got.code != 0 || got.out != "{\"message\":\"Hello Jane\"}\n" {
		t.Errorf("call: %+v", got)
	}
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	var record map[string]any
	for l := range strings.Lines(logs.String()) {
		if err := json.Unmarshal([]byte(l), &record); err != nil {
			t.Errorf("not JSON: %s", l)
		}
	}
	if record["msg"] != "m3o has stopped" || strings.Contains(logs.String(), key) {
		t.Errorf("the log ends with %v", record)
	}
}

// firstCall reads what the start prints up to the command to paste.
func firstCall(t *testing.T, out interface{ Read([]byte) (int, error) }) (command, key string) {
	t.Helper()
	var text bytes.Buffer
	chunk := make([]byte, 4096)
	for !strings.Contains(text.String(), "'\n") {
		n, err := out.Read(chunk)
		text.Write(chunk[:n])
		if err != nil {
			t.Fatalf("it printed %q: %v", text.String(), err)
		}
	}
	for line := range strings.Lines(text.String()) {
		if strings.HasPrefix(line, "curl ") {
			command = strings.TrimSpace(line)
		}
		if fields := strings.Fields(line); len(fields) == 2 && fields[0] == "Key" {
			key = fields[1]
		}
	}
	if command == "" || key == "" {
		t.Fatalf("no command or key in %q", text.String())
	}
	return command, key
}

func TestCallTellsWhyItFailed(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t)
	got := m3o(t, []string{"M3O_ADDRESS=" + s.URL, "M3O_API_TOKEN=m3o_nonsense"}, "call", "helloworld", "call")
	if got.code != 1 || !strings.Contains(got.err, "401") || !strings.Contains(got.err, "req_") || got.out != "" {
		t.Errorf("%+v", got)
	}
}

func TestCallPrintsAStreamLineByLine(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t)
	key, _ := s.Key(s.SignUp("jane@example.com").Token)
	got := m3o(t, []string{"M3O_ADDRESS=" + s.URL, "M3O_API_TOKEN=" + key}, "call", "helloworld", "stream", `{"name":"Jane","messages":3}`)
	if got.code != 0 || got.out != strings.Repeat("{\"message\":\"Hello Jane\"}\n", 3) {
		t.Errorf("%+v", got)
	}
}

func TestCommandsThatOnlyLook(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"services": "/v1/api/keys/generate", "openapi": `"openapi":"3.1.0"`, "version": "m3o ", "migrate": "up to date",
	} {
		if got := m3o(t, nil, args); got.code != 0 || !strings.Contains(got.out, want) {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	bad := filepath.Join(t.TempDir(), "service.yaml")
	if err := os.WriteFile(bad, []byte("general:\n  hots: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good, err := filepath.Abs("../../internal/helloworld/service.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got := m3o(t, nil, "validate", good); got.code != 0 || got.out != "" {
		t.Errorf("a good file: %+v", got)
	}
	if got := m3o(t, nil, "validate", bad); got.code != 1 || !strings.Contains(got.out, bad+":2:") {
		t.Errorf("a bad file: %+v", got)
	}
	got := m3o(t, nil, "validate", "--json", bad)
	var findings []map[string]any
	if err := json.Unmarshal([]byte(got.out), &findings); err != nil || got.code != 1 || len(findings) != 2 {
		t.Fatalf("as JSON: %+v %v", got, err)
	}
	members := slices.Sorted(maps.Keys(findings[1]))
	if found := findings[1]; strings.Join(members, " ") != "class col file hint line message" || found["file"] != bad || found["line"] != 2.0 || found["col"] != 3.0 ||
		!strings.Contains(found["message"].(string), "hots") {
		t.Errorf("as JSON: %v", found)
	}
	for _, flag := range []string{"--json=true", "--json=false"} {
		got := m3o(t, nil, "validate", flag, "none.yaml", bad)
		if got.code != 1 || !strings.Contains(got.out, "none.yaml") || !strings.Contains(got.out, "no such file") || !strings.Contains(got.out, "hots") {
			t.Errorf("a file that is not there beside a bad one: %+v", got)
		}
	}
	if got := m3o(t, nil, "validate", "--json", good); got.code != 0 || got.out != "[]\n" {
		t.Errorf("a good file as JSON: %+v", got)
	}
}

func TestSchemaIsJSONThatNamesTheParts(t *testing.T) {
	t.Parallel()
	got := m3o(t, nil, "schema")
	var schema struct {
		Properties map[string]any
	}
	if err := json.Unmarshal([]byte(got.out), &schema); err != nil || got.code != 0 || schema.Properties["general"] == nil || schema.Properties["functions"] == nil {
		t.Errorf("%+v %v", got, err)
	}
}

func TestServicesArePrintedAsJSON(t *testing.T) {
	t.Parallel()
	got := m3o(t, nil, "services", "--json")
	var list []struct {
		Service                                         string
		Functions                                       []struct{ Name, Access, Method, Path string }
		Calls, CalledBy, Fires, Hears, States, Consumes []string
	}
	if err := json.Unmarshal([]byte(got.out), &list); err != nil || got.code != 0 {
		t.Fatalf("exit %d, %v: %s", got.code, err, got.out)
	}
	for _, s := range list {
		if s.Service == "balance" && (!slices.Contains(s.Calls, "usage") || !slices.Contains(s.Consumes, "requests") || !slices.Contains(s.Fires, "on-recall") || len(s.Functions) == 0) {
			t.Errorf("%+v", s)
		}
		if s.Service == "gateway" && !slices.Contains(s.Hears, "balance.on-recall") {
			t.Errorf("%+v", s)
		}
	}
	table := m3o(t, nil, "services")
	for _, word := range []string{"CALLED BY", "CONSUMES", "balance.on-recall", "/customers/login"} {
		if !strings.Contains(table.out, word) {
			t.Errorf("the tables do not have %s:\n%s", word, table.out)
		}
	}
}
