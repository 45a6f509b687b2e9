package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v4"

	"m3o/internal/app"
)

const root = "../.."

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// parsed are the documents of a YAML file.
func parsed(t *testing.T, name string) (documents []any) {
	t.Helper()
	for text := range strings.SplitSeq(read(t, name), "\n---\n") {
		var document any
		if err := yaml.Unmarshal([]byte(text), &document); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		documents = append(documents, document)
	}
	return documents
}

// at is what is below keys and indexes, nil when it is not there.
func at(document any, path ...any) any {
	for _, step := range path {
		switch d := document.(type) {
		case map[string]any:
			key, _ := step.(string)
			document = d[key]
		case []any:
			i, ok := step.(int)
			if !ok || i >= len(d) {
				return nil
			}
			document = d[i]
		default:
			return nil
		}
	}
	return document
}

// process is how a deployment starts one m3o.
type process struct {
	args []string
	env  map[string]string
}

// deployments are the processes of each example, by file.
func deployments(t *testing.T) map[string][]process {
	t.Helper()
	all := map[string][]process{}
	for _, file := range []string{"compose.yaml", "compose.split.yaml"} {
		services, _ := at(parsed(t, file)[0], "services").(map[string]any)
		for _, s := range services {
			if image, _ := at(s, "image").(string); strings.HasPrefix(image, "m3o:") {
				all[file] = append(all[file], process{nil, texts(at(s, "environment"))})
			}
		}
	}
	for _, document := range parsed(t, "deploy/kubernetes.yaml") {
		c := at(document, "spec", "template", "spec", "containers", 0)
		if c == nil {
			continue
		}
		p := process{env: map[string]string{"M3O_BUS": "nats://nats:4222"}}
		args, _ := at(c, "args").([]any)
		for _, arg := range args {
			p.args = append(p.args, arg.(string))
		}
		env, _ := at(c, "env").([]any)
		for _, one := range env {
			value, _ := at(one, "value").(string)
			p.env[at(one, "name").(string)] = value
		}
		all["deploy/kubernetes.yaml"] = append(all["deploy/kubernetes.yaml"], p)
	}
	shared := lines(t, "deploy/systemd/shared.env")
	for _, file := range []string{"deploy/systemd/gateway-1.env", "deploy/systemd/services.env"} {
		env := lines(t, file)
		for name, value := range shared {
			env[name] = value
		}
		all["deploy/systemd"] = append(all["deploy/systemd"], process{[]string{"serve"}, env})
	}
	return all
}

func texts(mapping any) map[string]string {
	all := map[string]string{}
	members, _ := mapping.(map[string]any)
	for name, value := range members {
		all[name], _ = value.(string)
	}
	return all
}

// lines are the variables of a file of them.
func lines(t *testing.T, name string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(read(t, name)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			all[name] = value
		}
	}
	return all
}

// serving parses what a deployment gives to serve.
func serving(t *testing.T, args []string) (*cli, *kong.Kong) {
	t.Helper()
	var c cli
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Errorf("m3o %s: %v", strings.Join(args, " "), err)
	}
	return &c, parser
}

// hosts are the services of the house.
func hosts(t *testing.T) (names []string) {
	t.Helper()
	all, err := app.Wirings()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range all {
		names = append(names, w.Host)
	}
	return names
}

// Every variable that an example sets is one that m3o reads.
func TestDeploymentsSetWhatThereIs(t *testing.T) {
	t.Parallel()
	_, parser := serving(t, nil)
	known := variables(parser)
	services := hosts(t)
	for file, processes := range deployments(t) {
		for _, p := range processes {
			for name := range p.env {
				parts := strings.SplitN(strings.ToLower(name), "_", 3)
				ofService := len(parts) == 3 && (slices.Contains(services, parts[1]) || parts[1] == "edge")
				if strings.HasPrefix(name, "M3O_") && !slices.Contains(known, name) && !ofService {
					t.Errorf("%s sets %s, which nobody reads", file, name)
				}
			}
		}
	}
	dockerfile := read(t, "Dockerfile")
	for _, found := range regexp.MustCompile(`\bM3O_[A-Z_]+`).FindAllString(dockerfile, -1) {
		if !slices.Contains(known, found) {
			t.Errorf("Dockerfile sets %s, which nobody reads", found)
		}
	}
}

// variables are those of all flags.
func variables(parser *kong.Kong) (all []string) {
	for _, command := range parser.Model.Children {
		for _, flag := range command.Flags {
			all = append(all, flag.Envs...)
		}
	}
	return all
}

// A split runs every service, and the gateways apart from the rest, but for graph: it has WebSockets, which NATS does not carry.
func TestASplitRunsEveryService(t *testing.T) {
	t.Parallel()
	all := hosts(t)
	for file, processes := range deployments(t) {
		if file == "compose.yaml" {
			continue
		}
		running := map[string]int{}
		for _, p := range processes {
			c, _ := serving(t, p.args)
			asked := []string{p.env["M3O_SERVICES"]}
			if asked[0] == "" {
				asked = c.Serve.Services
			}
			names, err := app.Chosen(asked)
			if err != nil {
				t.Errorf("%s: %v", file, err)
			}
			for _, name := range names {
				running[name]++
			}
			if slices.Contains(names, "gateway") && !slices.Equal(names, []string{"graph", "gateway"}) {
				t.Errorf("%s runs %v together: beside a gateway belongs graph, and nothing else", file, names)
			}
			if !strings.HasPrefix(p.env["M3O_BUS"], "nats://") {
				t.Errorf("%s runs %v without a bus", file, names)
			}
		}
		for _, name := range all {
			if running[name] == 0 {
				t.Errorf("%s does not run %s: add it to M3O_SERVICES (or --services)", file, name)
			}
		}
	}
}

var image = regexp.MustCompile(`(?m)^\s*(?:image:|FROM) +(\S+)`)

// An image without a version is another one tomorrow.
func TestImagesArePinned(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"Dockerfile", "compose.yaml", "compose.split.yaml", "deploy/kubernetes.yaml"} {
		found := image.FindAllStringSubmatch(read(t, file), -1)
		if len(found) == 0 {
			t.Errorf("%s has no image: is it read rightly?", file)
		}
		for _, f := range found {
			name := f[1]
			ours := strings.HasPrefix(name, "m3o:${M3O_VERSION:-")
			if !ours && name != "scratch" && !regexp.MustCompile(`:\d+\.\d+`).MatchString(name) {
				t.Errorf("%s: %s has no version", file, name)
			}
		}
	}
}

func TestTheImageRunsWhatIsThere(t *testing.T) {
	t.Parallel()
	text := read(t, "Dockerfile")
	c, _ := serving(t, nil)
	for _, want := range []string{
		"USER 65532:65532", "VOLUME /data", "M3O_DATA=/data", `ENTRYPOINT ["/m3o"]`, "CGO_ENABLED=0", "-trimpath", "-X main.release=",
		"EXPOSE " + strings.TrimPrefix(c.Serve.Listen, ":"), "M3O_LISTEN=" + c.Serve.Listen,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("Dockerfile has no %s", want)
		}
	}
	health := regexp.MustCompile(`HEALTHCHECK .*CMD \["/m3o", "(\w+)"\]`).FindStringSubmatch(text)
	if health == nil {
		t.Fatal("Dockerfile has no HEALTHCHECK by the binary itself")
	}
	serving(t, health[1:])
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))
	if !strings.Contains(text, "FROM golang:"+version[1]+".") {
		t.Errorf("Dockerfile builds with another Go than go.mod's %s", version[1])
	}
	for path := range strings.FieldsSeq(read(t, ".dockerignore")) {
		if slices.Contains([]string{"cmd", "internal", "migrations", "pkg", "go.mod", "go.sum"}, path) {
			t.Errorf(".dockerignore leaves out %s, of which the binary is made", path)
		}
	}
}

// The probes ask what m3o answers, at the port where it listens.
func TestKubernetesProbesAPortThatIsThere(t *testing.T) {
	t.Parallel()
	probes := 0
	for _, document := range parsed(t, "deploy/kubernetes.yaml") {
		c := at(document, "spec", "template", "spec", "containers", 0)
		if c == nil {
			continue
		}
		if at(c, "ports", 0, "containerPort") != 8080 || at(c, "ports", 0, "name") != "http" {
			t.Errorf("the ports are %v", at(c, "ports"))
		}
		for probe, path := range map[string]string{"startupProbe": "/healthz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"} {
			probes++
			if at(c, probe, "httpGet", "path") != path || at(c, probe, "httpGet", "port") != "http" {
				t.Errorf("%s asks %v", probe, at(c, probe, "httpGet"))
			}
		}
		labels, selector := at(document, "spec", "template", "metadata", "labels"), at(document, "spec", "selector", "matchLabels")
		for name, value := range texts(selector) {
			if texts(labels)[name] != value {
				t.Errorf("%v selects %s=%s, which its pods have not", at(document, "metadata", "name"), name, value)
			}
		}
	}
	if probes != 6 {
		t.Errorf("%d probes, want 6", probes)
	}
}

// serviceUnits are what systemd starts.
func TestUnitsStartWhatIsThere(t *testing.T) {
	t.Parallel()
	_, parser := serving(t, nil)
	known := variables(parser)
	for _, file := range []string{"deploy/systemd/m3o.service", "deploy/systemd/m3o@.service"} {
		text := read(t, file)
		start := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/m3o (.*)$`).FindStringSubmatch(text)
		if start == nil {
			t.Fatalf("%s starts nothing", file)
		}
		serving(t, strings.Fields(start[1]))
		for _, found := range regexp.MustCompile(`(?m)\bM3O_[A-Z_]+`).FindAllString(text, -1) {
			if !slices.Contains(known, found) {
				t.Errorf("%s sets %s, which nobody reads", file, found)
			}
		}
	}
}

var (
	metricWord = regexp.MustCompile(`\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b`)
	metricName = regexp.MustCompile(`Name: +"([a-z][a-z0-9_]+)"`)
)

// metrics are the names that the code registers.
func metrics(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{"process_open_fds": true, "process_max_fds": true, "process_resident_memory_bytes": true, "go_goroutines": true} // client_golang's own
	files, err := filepath.Glob(filepath.Join(root, "internal", "*", "*.go"))
	more, _ := filepath.Glob(filepath.Join(root, "internal", "*", "*", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, more...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range metricName.FindAllSubmatch(text, -1) {
			names[string(found[1])] = true
		}
	}
	return names
}

// An alert on a metric that is not there never fires.
func TestAlertsAskForMetricsThatThereAre(t *testing.T) {
	t.Parallel()
	known := metrics(t)
	guide := read(t, "docs/operations.md")
	groups, _ := at(parsed(t, "deploy/prometheus/alerts.yaml")[0], "groups").([]any)
	rules, _ := at(groups, 0, "rules").([]any)
	if len(rules) == 0 {
		t.Fatal("there are no rules: is the file read rightly?")
	}
	for _, rule := range rules {
		name, _ := at(rule, "alert").(string)
		expression, _ := at(rule, "expr").(string)
		for _, word := range metricWord.FindAllString(expression, -1) {
			if word != "histogram_quantile" && !known[strings.TrimSuffix(word, "_bucket")] {
				t.Errorf("%s asks for %s, which nobody counts", name, word)
			}
		}
		if !strings.Contains(guide, "`"+name+"`") {
			t.Errorf("docs/operations.md does not say what to do about %s", name)
		}
		if summary, _ := at(rule, "annotations", "summary").(string); summary == "" {
			t.Errorf("%s has no summary", name)
		}
	}
}

// The guide names flags, variables and metrics as they are.
func TestTheGuideNamesWhatThereIs(t *testing.T) {
	t.Parallel()
	guide := read(t, "docs/operations.md")
	_, parser := serving(t, nil)
	known, flags, commands := variables(parser), []string{"help"}, []string{}
	for _, command := range parser.Model.Children {
		commands = append(commands, command.Name)
		for _, flag := range command.Flags {
			flags = append(flags, flag.Name)
		}
	}
	services := hosts(t)
	for _, found := range regexp.MustCompile("`m3o ([a-z]+)").FindAllStringSubmatch(guide, -1) {
		if !slices.Contains(commands, found[1]) {
			t.Errorf("there is no command m3o %s", found[1])
		}
	}
	for _, found := range regexp.MustCompile(`[ \x60]--([a-z][a-z-]+)`).FindAllStringSubmatch(guide, -1) {
		if !slices.Contains(flags, found[1]) && !slices.Contains([]string{"file", "detach", "namespace", "filename", "now", "tail"}, found[1]) {
			t.Errorf("there is no flag --%s", found[1])
		}
	}
	for _, found := range regexp.MustCompile(`\bM3O_[A-Z][A-Z_]+\b`).FindAllString(guide, -1) {
		parts := strings.SplitN(strings.ToLower(found), "_", 3)
		if !slices.Contains(known, found) && !(len(parts) == 3 && (slices.Contains(services, parts[1]) || parts[1] == "edge")) && !strings.HasPrefix(found, "M3O_TEST_") {
			t.Errorf("there is no variable %s", found)
		}
	}
	all := metrics(t)
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)`").FindAllStringSubmatch(guide, -1) {
		if strings.Contains(row[1], "_") && !all[row[1]] {
			t.Errorf("nobody counts %s", row[1])
		}
	}
}
