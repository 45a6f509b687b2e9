package codegen

import (
	"bytes"
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"m3o/internal/codegen/spec"
)

// skeletons appends a test for each handler and event that no test file has one for. It says what is true as long as
// nobody has written the handler.
func (g *generator) skeletons() error {
	if !g.hasHarness() {
		return nil
	}
	own, err := g.module.load(g.dir)
	if err != nil {
		return err
	}
	tests, err := g.testFuncs()
	if err != nil {
		return err
	}
	s := &skeletons{generator: g, pkg: own.name, make: newServiceName(own.name, tests)}
	for _, h := range g.declared() {
		if !g.isTested(h.name, tests) {
			s.add(h.name, s.ofHandler(h))
		}
	}
	for _, e := range g.service.Events {
		if !g.isTested(e.Name(), tests) {
			s.add(e.Name(), s.ofEvent(e))
		}
	}
	if len(s.names) == 0 {
		return nil
	}
	return s.write(tests)
}

// skeletons are the tests that one run appends.
type skeletons struct {
	*generator
	pkg   string
	make  string // the function that makes the service for a test
	names []string
	text  strings.Builder
}

// isTested says whether there is a test that is called after a handler: TestThing_Foo, TestFoo, TestFooDoesThat.
func (g *generator) isTested(name string, tests []testFunc) bool {
	return slices.ContainsFunc(tests, func(f testFunc) bool {
		for _, prefix := range []string{"Test", g.testPrefix()} {
			rest, ok := strings.CutPrefix(f.name, prefix+name)
			if ok && (rest == "" || rest[0] < 'a' || rest[0] > 'z') {
				return true
			}
		}
		return false
	})
}

func (s *skeletons) add(name, body string) {
	s.names = append(s.names, s.testPrefix()+name)
	fmt.Fprintf(&s.text, "\nfunc %s%s(t *testing.T) {\n\tt.Parallel()\n%s}\n", s.testPrefix(), name, body)
}

func (s *skeletons) ofHandler(h handler) string {
	say := fmt.Sprintf("// %s is not written yet: say here what it promises instead.\n", h.name)
	e, zeros := h.entry, ""
	switch e.Section {
	case "functions", "sinks":
		for _, a := range e.Signature.In {
			zeros += ", " + s.zero(a.Type, e)
		}
	case "webs":
		path := strings.NewReplacer("{", "", "}", "", "+", "").Replace(s.view().RoutePath(e))
		return fmt.Sprintf("\th := startHarness(t, %s)\n\t%s\trequest := httptest.NewRequestWithContext(t.Context(), %s, %q, nil)\n\th.%s(request).ErrorCode(fault.Unimplemented)\n",
			s.make, say, methodOf(e), path, h.name)
	}
	test := fmt.Sprintf("h.%s(t.Context()%s).ErrorCode(fault.Unimplemented)\n", h.name, zeros)
	if e.Section == "functions" {
		return fmt.Sprintf("\teachWay(t, %s, func(t *testing.T, h *harness) {\n\t\t%s\t\t%s\t})\n", s.make, say, test)
	}
	return fmt.Sprintf("\th := startHarness(t, %s)\n\t%s\t%s", s.make, say, test)
}

func (s *skeletons) ofEvent(e *spec.Entry) string {
	zeros := ""
	for _, a := range e.Signature.In {
		zeros += ", " + s.zero(a.Type, e)
	}
	return fmt.Sprintf(`	h := startHarness(t, %s)
	heard := h.%[2]s().Expect(%[3]s.%[2]sIn{})
	// Nothing fires %[2]s yet: call here what is meant to, and expect what it is to tell.
	_ = %[3]s.NewMulticastTrigger(h.bus).%[2]s(t.Context()%[4]s).Err() // what other sinks answer is not for this test
	heard.Wait()
`, s.make, e.Name(), s.api(), zeros)
}

// methodOf is a method that a web handler answers to, as Go writes it.
func methodOf(e *spec.Entry) string {
	if e.Method == "ANY" {
		return "http.MethodGet"
	}
	return (&view{}).Method(e.Method)
}

// zero is the zero value of an argument as a test writes it.
func (g *generator) zero(t spec.Type, e *spec.Entry) string {
	switch base := t.Base; {
	case t.Prefix != "" || base == "any":
		return "nil"
	case base == "string":
		return `""`
	case base == "bool":
		return "false"
	case base == "time.Time":
		return "time.Time{}"
	case !t.Complex():
		return "0"
	}
	name := g.api() + "." + t.Base
	if e.Section == "sinks" {
		name = filepath.Base(e.Source) + "api." + t.Base
	} else if found := g.types[t.Base]; found != nil {
		if _, ok := found.spec.Type.(*ast.StructType); ok {
			return name + "{}"
		}
	}
	return "*new(" + name + ")"
}

// write plans the tests, below what the file has.
func (s *skeletons) write(tests []testFunc) error {
	path := s.file(tests)
	src, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		src, err = []byte("package "+s.pkg+"_test\n"), nil
	}
	if err != nil {
		return err
	}
	src = append(bytes.TrimRight(src, "\n"), '\n')
	text := s.text.String()
	if !slices.ContainsFunc(tests, func(f testFunc) bool { return f.name == s.make && f.pkg == s.pkg+"_test" }) {
		text = s.newService() + text
	}
	src, err = withImports(append(src, text...), withoutComments(text), s.testKnown(s.pkg))
	if err != nil {
		return fmt.Errorf("%s: %w", s.module.rel(path), err)
	}
	s.out.add(path, src)
	for _, name := range s.names {
		s.report.Stubs = append(s.report.Stubs, s.module.rel(path)+": "+name)
	}
	return nil
}

// file is where the tests go: the test file that is called after the service, unless that sees its inside.
func (s *skeletons) file(tests []testFunc) string {
	path := filepath.Join(s.dir, s.noun()+"_test.go")
	if slices.ContainsFunc(tests, func(f testFunc) bool { return f.path == path && f.pkg == s.pkg }) {
		return filepath.Join(s.dir, "harness_test.go")
	}
	return path
}

func withoutComments(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		code, _, _ := strings.Cut(line, "//")
		b.WriteString(code + "\n")
	}
	return b.String()
}

// newServiceName is a name for the function that makes the service which nothing else has.
func newServiceName(pkg string, tests []testFunc) string {
	for name := "newService"; ; name += "ForTest" {
		i := slices.IndexFunc(tests, func(f testFunc) bool { return f.name == name && f.pkg == pkg+"_test" })
		if i < 0 || tests[i].types == ";*testing.T,bus.Bus,;*"+pkg+".Service," {
			return name
		}
	}
}

// newService is the function that makes the service for a test.
func (s *skeletons) newService() string {
	text := fmt.Sprintf("\n// %s is %s with all that it needs, for a test.\nfunc %[1]s(t *testing.T, b bus.Bus) *%[3]s.Service {\n\tt.Helper()\n", s.make, s.noun(), s.pkg)
	if s.madeByNew() {
		return text + fmt.Sprintf("\ts, err := %s.New(%[1]s.Deps{})\n\tif err != nil {\n\t\tt.Fatal(err)\n\t}\n\treturn s\n}\n", s.pkg)
	}
	return text + fmt.Sprintf("\tt.Skip(\"%s does not say yet how %s is made\")\n\treturn nil\n}\n", s.make, s.noun())
}

// madeByNew says whether the package has, or is about to get, New(Deps) (*Service, error).
func (s *skeletons) madeByNew() bool {
	own, err := s.module.load(s.dir)
	if err != nil || own.types["Service"] == nil {
		return true // the generator makes it
	}
	for _, f := range own.files {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "New" {
				types, err := s.typesOf(fn.Type)
				return err == nil && types == ";Deps,;*Service,error,"
			}
		}
	}
	return false
}
