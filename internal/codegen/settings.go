package codegen

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"m3o/internal/codegen/spec"
)

// renderService plans service_gen.go.
func (g *generator) renderService() error {
	own, err := g.module.load(g.dir)
	if err != nil {
		return err
	}
	data := serviceView{view: g.view(), Package: own.name}
	for _, e := range g.declared() {
		if e.entry.Section != "functions" && e.entry.Section != "webs" {
			data.Others = append(data.Others, e.name+e.signature)
		}
	}
	text, err := render("service.go.tmpl", data, g.known())
	if err != nil {
		return err
	}
	g.out.add(filepath.Join(g.dir, "service_gen.go"), append([]byte(header), text...))
	return nil
}

// serviceView is what the template of service_gen.go sees.
type serviceView struct {
	*view
	Package string
	Others  []string // methods beside the contract, as in an interface
}

// Type is the Go type of a config.
func (serviceView) Type(e *spec.Entry) string { return e.Signature.Out[0].Type.String() }

// Held is the type in which a config is kept: the widest of its kind.
func (v serviceView) Held(e *spec.Entry) string {
	switch t := v.Type(e); {
	case t == "int":
		return t
	case spec.IsInt(t):
		return "int64"
	case spec.IsFloat(t):
		return "float64"
	default:
		return t
	}
}

// FromHeld is the value in force in the config's own type.
func (v serviceView) FromHeld(e *spec.Entry) string {
	value := "s.config" + e.Name() + ".Get()"
	if t := v.Type(e); t != v.Held(e) {
		return t + "(" + value + ")"
	}
	return value
}

// Default is the default of a config. A narrow integer has a rule and so needs one.
func (v serviceView) Default(e *spec.Entry) string {
	if e.Default == "" && v.Rule(e) != e.Validation {
		return "0"
	}
	return e.Default
}

// Rule is the validation of a config; without one, a narrow integer keeps to its width.
func (v serviceView) Rule(e *spec.Entry) string {
	t := v.Type(e)
	if e.Validation != "" || !spec.IsInt(t) || t == "int" || t == "int64" {
		return e.Validation
	}
	bits, err := strconv.Atoi(strings.TrimLeft(t, "uint"))
	if err != nil {
		bits = 64
	}
	switch {
	case t[0] == 'u' && bits == 64:
		return "int [0,]"
	case t[0] == 'u':
		return fmt.Sprintf("int [0,%d]", uint64(1)<<bits-1)
	}
	return fmt.Sprintf("int [%d,%d]", -(int64(1) << (bits - 1)), int64(1)<<(bits-1)-1)
}

// Collector is the Prometheus type of a metric.
func (serviceView) Collector(e *spec.Entry) string {
	kind := map[string]string{"counter": "Counter", "gauge": "Gauge", "histogram": "Histogram"}[e.Kind]
	if len(e.Signature.In) > 1 {
		return "*prometheus." + kind + "Vec"
	}
	return "prometheus." + kind
}

// NewCollector is the expression that makes a metric.
func (v serviceView) NewCollector(e *spec.Entry) string {
	name, help := e.Alias, e.Description
	if name == "" {
		name = strings.ReplaceAll(v.Noun, "-", "_") + "_" + spec.Snake(e.Name())
	}
	if help == "" {
		help = e.Name() + " of " + v.Noun + "."
	}
	kind := strings.TrimPrefix(strings.TrimSuffix(strings.TrimPrefix(v.Collector(e), "*"), "Vec"), "prometheus.")
	options := fmt.Sprintf("prometheus.%sOpts{Name: %q, Help: %q", kind, name, help)
	if len(e.Buckets) > 0 {
		var bounds []string
		for _, b := range e.Buckets {
			bounds = append(bounds, strconv.FormatFloat(b, 'g', -1, 64))
		}
		options += ", Buckets: []float64{" + strings.Join(bounds, ", ") + "}"
	}
	options += "}"
	if len(e.Signature.In) == 1 {
		return "prometheus.New" + kind + "(" + options + ")"
	}
	var labels []string
	for _, a := range e.Signature.In[1:] {
		labels = append(labels, strconv.Quote(spec.Snake(a.Name)))
	}
	return "prometheus.New" + kind + "Vec(" + options + ", []string{" + strings.Join(labels, ", ") + "})"
}

// metricArgs avoids the names that the helpers of metrics use.
func metricArgs(e *spec.Entry) []spec.Arg {
	args := safe(e.Signature.In...)
	for i := range args {
		if args[i].Name == "value" || args[i].Name == "float64" {
			args[i].Name += "Arg"
		}
	}
	return args
}

// MetricParams are the parameters of a metric's helpers.
func (v serviceView) MetricParams(e *spec.Entry) string { return v.list(metricArgs(e), "") }

// Measure is the measure as float64, durations in seconds.
func (serviceView) Measure(e *spec.Entry) string {
	m := metricArgs(e)[0]
	if m.Type.Base == "time.Duration" {
		return m.Name + ".Seconds()"
	}
	return "float64(" + m.Name + ")"
}

// Labels picks the series by the labels.
func (serviceView) Labels(e *spec.Entry) string {
	args := metricArgs(e)[1:]
	if len(args) == 0 {
		return ""
	}
	parts := make([]string, len(args))
	for i, a := range args {
		if parts[i] = "fmt.Sprint(" + a.Name + ")"; a.Type.Base == "string" {
			parts[i] = a.Name
		}
	}
	return ".WithLabelValues(" + strings.Join(parts, ", ") + ")"
}

// Listen is the expression that subscribes a sink to a multicast event.
func (v serviceView) Listen(e *spec.Entry) string {
	queue := "s.replica.Host"
	if e.Queue == "none" {
		queue = `""` // each replica hears it
	}
	hook := fmt.Sprintf("%sapi.NewHook(b, s.replica.ID, %s)", filepath.Base(e.Source), queue)
	if e.ForHost != "" {
		hook += fmt.Sprintf(".ForHost(%q)", strings.ToLower(e.ForHost))
	}
	return fmt.Sprintf("%s.%s(s.%s)", hook, e.Event, e.Name())
}

// Examples is the examples of the publish section as a Go string of JSON.
func (v serviceView) Examples() (string, error) {
	if len(v.Publish.Examples) == 0 {
		return `""`, nil
	}
	text, err := json.Marshal(v.Publish.Examples)
	return strconv.Quote(string(text)), err
}
