package app_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"m3o/internal/app"
	"m3o/internal/app/apptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAStrangerSignsUpCallsAndSeesWhatItCost(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t)
	jane := s.SignUp("jane@example.com")
	key, _ := s.Key(jane.Token)
	before := s.Balance(jane.Token)
	answer := s.Call(key, "helloworld/call", map[string]string{"name": "Jane"})
	if answer.Status != 200 || string(bytes.TrimSpace(answer.Body)) != `{"message":"Hello Jane"}` {
		t.Fatalf("%d %s", answer.Status, answer.Body)
	}
	price, err := strconv.ParseInt(answer.Header.Get("M3O-Price"), 10, 64)
	if err != nil || price <= 0 || s.Balance(jane.Token) != before-price {
		t.Errorf("price %d, balance %d → %d", price, before, s.Balance(jane.Token))
	}
	var list struct {
		Records []struct {
			RequestID string `json:"request_id"`
		}
	}
	s.Must("/usage/list-records", jane.Token, map[string]any{}, &list)
	if len(list.Records) != 1 || list.Records[0].RequestID != answer.Header.Get("M3O-Request-Id") {
		t.Errorf("records %+v", list.Records)
	}
}

func TestTheFirstStartPrintsWhatOneNeedsAndTheNextDoesNot(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, apptest.Demo(), func(c *app.Config) { c.AdminEmail, c.AdminPassword = "", "" })
	command := s.Printed[strings.Index(s.Printed, "\ncurl ")+1:]
	fields := strings.SplitN(strings.TrimSpace(command), " -", 4)
	if len(fields) != 4 {
		t.Fatalf("no curl line in\n%s", s.Printed)
	}
	header := func(field string) string { return strings.Trim(strings.TrimPrefix(field, "H "), `"`) }
	path := strings.TrimPrefix(fields[0], "curl "+s.URL)
	body := strings.Trim(strings.TrimPrefix(fields[3], "d "), "'")
	if a := s.Do("POST", path, "", body, header(fields[1]), header(fields[2])); a.Status != 200 || !strings.Contains(string(a.Body), "Hello John") {
		t.Errorf("%s: %d %s", command, a.Status, a.Body)
	}
	for _, who := range []string{"admin@localhost", "demo@localhost"} {
		_, rest, _ := strings.Cut(s.Printed, who)
		_, rest, _ = strings.Cut(rest, "password ")
		password, _, _ := strings.Cut(strings.Fields(rest)[0], " ")
		if session := s.Login(who, password); session.Token == "" {
			t.Errorf("%s cannot log in", who)
		} else if who == "demo@localhost" && s.Balance(session.Token) < 999_000 {
			t.Errorf("the demo customer has %d", s.Balance(session.Token))
		}
	}
	s.Restart()
	if strings.Contains(s.Printed, "password") || strings.Contains(s.Printed, "m3o_") || !strings.Contains(s.Printed, s.URL) {
		t.Errorf("the second start printed\n%s", s.Printed)
	}
}

func TestAnAdminChangesValuesWhileEverythingRuns(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t)
	admin := s.AdminToken()
	set := func(host, property, value string) apptest.Answer {
		return s.Post("/configurator/set", admin, map[string]string{"host": host, "property": property, "value": value})
	}
	jane := s.SignUp("jane@example.com")
	key, _ := s.Key(jane.Token)
	long := map[string]string{"name": strings.Repeat("x", 2000)}
	if a := s.Call(key, "helloworld/call", long); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if a := set("gateway", "body-limit", "1024"); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if a := s.Call(key, "helloworld/call", long); a.Status != 413 {
		t.Errorf("the new limit is not held: %d %s", a.Status, a.Body)
	}
	for why, c := range map[string]struct{ host, property, value, names string }{
		"NoSuchService":  {"gatewai", "BodyLimit", "1024", "host"},
		"NoSuchProperty": {"gateway", "BodyLimits", "1024", "property"},
		"AgainstTheRule": {"gateway", "BodyLimit", "lots", "value"},
		"Secret":         {"emails", "SMTPPassword", "x", "property"},
	} {
		if a := set(c.host, c.property, c.value); a.Status != 400 || !strings.Contains(string(a.Body), `"name":"`+c.names+`"`) {
			t.Errorf("%s: %d %s", why, a.Status, a.Body)
		}
	}
	if a := set("billing", "tiers", `{"free":{"price":0,"free_calls":0,"rate":1000,"caps":{"Helloworld.Call":0}}}`); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if a := s.Call(key, "helloworld/call", map[string]string{}); a.Status != 429 && a.Status != 403 && a.Status != 402 {
		t.Errorf("the new tiers are not in force: %d %s", a.Status, a.Body)
	}
	if a := s.Post("/configurator/unset", admin, map[string]string{"host": "billing", "property": "tiers"}); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	s.Restart()
	if a := s.Call(key, "helloworld/call", long); a.Status != 413 {
		t.Errorf("the value is forgotten: %d %s", a.Status, a.Body)
	}
	if a := s.Call(key, "helloworld/call", map[string]string{}); a.Status != 200 {
		t.Errorf("what was unset is still in force: %d %s", a.Status, a.Body)
	}
}

// cut is an operator's screen; the start is cut short once a password is on it.
type cut struct {
	slow
	short context.CancelFunc
}

func (c *cut) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("password")) {
		c.short()
	}
	return c.slow.Write(p)
}

func TestAFirstStartThatIsCutShortHasToldTheAdminsPassword(t *testing.T) {
	t.Parallel()
	dir, log := t.TempDir(), &slow{}
	ctx, short := context.WithCancel(t.Context())
	defer short()
	out := &cut{short: short}
	a, err := app.Start(ctx, app.Config{
		Listen: "127.0.0.1:0", Data: dir, Out: out, Now: func() time.Time { return time.Now().UTC() }, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	if strings.Contains(out.String(), "demo@localhost") || !strings.Contains(log.String(), `level=WARN msg="the demo customer could not be made"`) {
		t.Errorf("printed\n%s\nlogged\n%s", out, log)
	}
	_, password, _ := strings.Cut(out.String(), "admin@localhost   password ")
	password, _, _ = strings.Cut(password, "\n")
	if apptest.Start(t, apptest.Data(dir)).Login("admin@localhost", password).Token == "" {
		t.Errorf("the admin cannot log in with %q", password)
	}
}

func TestADemoThatCannotBeMadeIsNotShown(t *testing.T) {
	t.Parallel()
	log := &slow{}
	s := apptest.Start(t, apptest.Demo(), apptest.Log(log), func(c *app.Config) { c.AdminEmail = "demo@localhost" })
	if strings.Contains(s.Printed, "Demo") || strings.Contains(s.Printed, "curl") || !strings.Contains(s.Printed, "Admin     demo@localhost") {
		t.Errorf("printed\n%s", s.Printed)
	}
	if !strings.Contains(log.String(), `level=WARN msg="the demo customer could not be made" error="demo@localhost has an account already"`) {
		t.Errorf("logged\n%s", log)
	}
	s.Login("demo@localhost", apptest.AdminPassword)
}

func TestTheAdminIsWhoTheOperatorSays(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t)
	if strings.Contains(s.Printed, apptest.AdminPassword) || strings.Contains(s.Printed, "demo") {
		t.Errorf("printed\n%s", s.Printed)
	}
	s.Must("/customers/list", s.AdminToken(), map[string]any{}, nil)
}

// secret is what processes share.
const secret = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

func TestStartRefusesWithASentence(t *testing.T) {
	t.Parallel()
	running := apptest.Start(t)
	file := filepath.Join(t.TempDir(), "file")
	config := filepath.Join(t.TempDir(), "config.yaml")
	for path, text := range map[string]string{file: "", config: "billing:\n  Tires: {}\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		change func(*app.Config)
		want   string
	}{
		"SecondProcess":    {func(c *app.Config) { c.Data = running.Data }, "another m3o is using the data directory"},
		"PortInUse":        {func(c *app.Config) { c.Listen = strings.TrimPrefix(running.URL, "http://") }, "is in use by another program"},
		"NoDirectory":      {func(c *app.Config) { c.Data = filepath.Join(file, "data") }, "cannot be made"},
		"NoPostgres":       {func(c *app.Config) { c.DB, c.Patience = "postgres://127.0.0.1:1/x", 100*time.Millisecond }, "Postgres was not there for 100ms: cannot reach the database at 127.0.0.1:1"},
		"MisspeltConfig":   {func(c *app.Config) { c.ConfigFile = config }, "billing.tires"},
		"NoConfig":         {func(c *app.Config) { c.ConfigFile = filepath.Join(file, "x") }, "config file"},
		"HalfAnAdmin":      {func(c *app.Config) { c.AdminPassword = "" }, "M3O_ADMIN_PASSWORD"},
		"BadValue":         {func(c *app.Config) { c.Environ = []string{"M3O_GATEWAY_BODYLIMIT=lots"} }, "gateway.BodyLimit"},
		"BadOrigins":       {func(c *app.Config) { c.Environ = []string{"M3O_EDGE_ORIGINS={}"} }, "edge.Origins"},
		"NoListOfOrigins":  {func(c *app.Config) { c.Environ = []string{"M3O_EDGE_ORIGINS=https://app.example.com"} }, "edge.Origins: write a list"},
		"NoListOfPorts":    {func(c *app.Config) { c.Environ = []string{"M3O_EDGE_PORTS=80:*->443"} }, "edge.Ports: write a list"},
		"NoNumber":         {func(c *app.Config) { c.Environ = []string{"M3O_EDGE_LOGEVERY=often"} }, "edge.LogEvery: write a number"},
		"BadPorts":         {func(c *app.Config) { c.Environ = []string{`M3O_EDGE_PORTS=["80->443"]`} }, "is no port rule"},
		"WeakPassword":     {func(c *app.Config) { c.AdminPassword = "short" }, "too short"},
		"NoAddress":        {func(c *app.Config) { c.Listen = "nonsense" }, "host:port"},
		"NoDataDirectory":  {func(c *app.Config) { c.Data = "" }, "--data"},
		"UnknownService":   {func(c *app.Config) { c.Services = []string{"keys,kees"} }, "there is no service kees: choose among configurator, emails"},
		"NobodyToCall":     {func(c *app.Config) { c.Services = []string{"helloworld", "keys"} }, "keys calls customers, which is not in this process: add it, or give --bus nats://"},
		"NobodyToTell":     {func(c *app.Config) { c.Services = []string{"configurator, emails", "customers"} }, "customers states facts on the topic customers for "},
		"NoSharedSecret":   {func(c *app.Config) { c.Bus = "nats://127.0.0.1:1" }, "M3O_SECRET is needed"},
		"TwoDatabases":     {func(c *app.Config) { c.Bus, c.Secret, c.Services = "nats://127.0.0.1:1", secret, []string{"keys"} }, "give --db postgres://"},
		"UnknownBus":       {func(c *app.Config) { c.Bus, c.Secret = "amqp://127.0.0.1", secret }, "--bus amqp://127.0.0.1: choose memory"},
		"NoNATS":           {func(c *app.Config) { c.Bus, c.Secret, c.Patience = "nats://127.0.0.1:1", secret, 100*time.Millisecond }, "NATS was not there for 100ms: "},
		"NoRedis":          {func(c *app.Config) { c.Redis = "http://127.0.0.1" }, "--redis: "},
		"AdminIsNoAddress": {func(c *app.Config) { c.AdminEmail = "nobody" }, "email"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := app.Config{
				Listen: "127.0.0.1:0", Data: t.TempDir(), AdminEmail: apptest.AdminEmail, AdminPassword: apptest.AdminPassword,
				Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Now().UTC() },
			}
			c.change(&config)
			a, err := app.Start(t.Context(), config)
			if err == nil {
				_ = a.Stop()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v", err)
			}
		})
	}
}

// slow is a log that lets a test wait for a line.
type slow struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *slow) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *slow) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestStopLetsRequestsFinishAndStopsInReverse(t *testing.T) {
	t.Parallel()
	log := &slow{}
	s := apptest.Start(t, apptest.Log(log))
	reader, writer := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/customers/login", reader)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan int, 1)
	go func() {
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			answered <- 0
			return
		}
		_ = resp.Body.Close()
		answered <- resp.StatusCode
	}()
	if _, err := writer.Write([]byte(`{"email":"nobody@example.com",`)); err != nil {
		t.Fatal(err)
	}
	s.Await("the request to arrive", func() bool {
		return strings.Contains(string(s.Do("GET", "/metrics", "", nil).Body), "\nm3o_http_requests_running 2\n")
	})
	stopped := make(chan struct{})
	go func() { s.Stop(); close(stopped) }()
	s.Await("stopping", func() bool { return strings.Contains(log.String(), "part=requests") })
	if _, err := writer.Write([]byte(`"password":"x"}`)); err != nil {
		t.Fatal(err)
	}
	_ = writer.Close()
	if status := <-answered; status != 401 {
		t.Errorf("the running request got %d", status)
	}
	<-stopped
	at := -1
	for _, part := range []string{"requests", "services", "database", `"data directory"`, "port"} {
		next := strings.Index(log.String(), "part="+part)
		if next < 0 || next < at {
			t.Errorf("%s stopped too early", part)
		}
		at = next
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	log := &slow{}
	ended := make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, app.Config{
			Listen: "127.0.0.1:0", Data: t.TempDir(), NoDemo: true, Now: time.Now, Log: slog.New(slog.NewTextHandler(log, nil)),
		})
	}()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(log.String(), "m3o is running"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not run")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestReadinessNamesTheParts(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t)
	if a := s.Do("GET", "/readyz", "", nil); a.Status != 200 || !strings.Contains(string(a.Body), `"database":"ready"`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestOpenAPIShowsThePlatformAndWhatIsOnSale(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t)
	served := s.Do("GET", "/openapi.json", "", nil)
	printed, err := app.OpenAPI("test")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{`"/v1/helloworld/call"`, `"/customers/login"`, `"/signup/user"`, `"/v1/api/keys/generate"`} {
		if !strings.Contains(string(served.Body), path) || !strings.Contains(string(printed), path) {
			t.Errorf("%s is missing", path)
		}
	}
	if strings.Contains(string(served.Body), "close-lease") {
		t.Error("an internal function is shown")
	}
}

func TestWiringsSayWhoHearsWhat(t *testing.T) {
	t.Parallel()
	all, err := app.Wirings()
	if err != nil {
		t.Fatal(err)
	}
	fired, stated := map[string]bool{}, map[string]bool{}
	by := map[string]app.Wiring{}
	for _, w := range all {
		by[w.Host] = w
		for _, event := range w.Fires {
			fired[w.Host+"."+event] = true
		}
		for _, topic := range w.States {
			stated[topic] = true
		}
	}
	if !slices.Contains(by["gateway"].Hears, "keys.on-keys-changed") || !slices.Contains(by["balance"].Consumes, app.Subscription{Topic: "requests", Group: "balance"}) || !slices.Contains(by["keys"].Calls, "customers") {
		t.Errorf("%+v", by)
	}
	for _, w := range all {
		for _, event := range w.Hears {
			if !fired[event] {
				t.Errorf("%s hears %s, which nobody fires", w.Host, event)
			}
		}
		for _, s := range w.Consumes {
			if !stated[s.Topic] {
				t.Errorf("%s consumes the topic %s, on which nobody states facts", w.Host, s.Topic)
			}
		}
		for _, called := range w.Calls {
			if by[called].Host == "" {
				t.Errorf("%s calls %s, which there is not", w.Host, called)
			}
		}
	}
}
