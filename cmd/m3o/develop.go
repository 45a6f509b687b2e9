package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"m3o/internal/app"
	"m3o/internal/codegen"
)

type servicesCmd struct{}

// Run prints two tables: what each service can do, and what it is tied to.
func (servicesCmd) Run(ctx context.Context, s streams) error {
	all, err := app.Wirings(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVICE\tFUNCTION\tACCESS\tMETHOD\tPATH")
	for _, w := range all {
		for _, f := range w.Functions {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t/%s%s\n", w.Host, f.Name, f.Access, f.Method, f.Host, f.Path)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(table, "\nSERVICE\tCALLS\tHEARS")
	for _, w := range all {
		fmt.Fprintf(table, "%s\t%s\t%s\n", w.Host, orDash(w.Calls), orDash(w.Hears))
	}
	return table.Flush()
}

func orDash(list []string) string {
	if len(list) == 0 {
		return "-"
	}
	return strings.Join(list, ", ")
}

type openAPICmd struct{}

// Run prints the document.
func (openAPICmd) Run(ctx context.Context, s streams) error {
	text, err := app.OpenAPI(ctx, version())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s\n", text)
	return err
}

type generateCmd struct {
	Check bool     `help:"Write nothing; fail when something is out of date."`
	Dirs  []string `arg:"" optional:"" name:"dir" help:"Folders of services; all of the module when none is given."`
}

// Run generates.
func (c *generateCmd) Run(s streams) error {
	report, err := codegen.Generate(codegen.Options{Root: ".", Dirs: c.Dirs, Check: c.Check})
	_, _ = fmt.Fprint(s.out, report)
	switch {
	case err != nil:
		return err
	case c.Check && len(report.Files) > 0:
		return errors.New("generated files are out of date: run m3o generate")
	}
	return nil
}

type newCmd struct {
	Name string `arg:"" help:"One lower-case noun."`
}

// Run makes a service.
func (c *newCmd) Run(s streams) error {
	next, err := codegen.New(".", c.Name)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, next)
	return err
}

type schemaCmd struct{}

// Run prints the JSON Schema.
func (schemaCmd) Run(s streams) error {
	text, err := codegen.Schema()
	if err != nil {
		return err
	}
	_, err = s.out.Write(text)
	return err
}

type validateCmd struct {
	JSON  bool     `name:"json" help:"Print the findings as a JSON array."`
	Files []string `arg:"" name:"file" help:"service.yaml files."`
}

// finding is a mistake or, when its class begins with W-, a warning as JSON.
type finding struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Col     int    `json:"col"`
	Class   string `json:"class"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

// Run prints what is wrong; it fails when a file has a mistake.
func (c *validateCmd) Run(s streams) error {
	mistakes, warnings, err := codegen.Validate(c.Files)
	if err != nil {
		return err
	}
	findings := []finding{}
	for _, m := range slices.Concat(mistakes, warnings) {
		findings = append(findings, finding{m.File, m.Line, m.Col, string(m.Class), m.Message, m.Hint})
		if !c.JSON {
			_, _ = fmt.Fprintln(s.out, m.Error())
		}
	}
	if c.JSON {
		if err := json.NewEncoder(s.out).Encode(findings); err != nil {
			return err
		}
	}
	if len(mistakes) > 0 {
		return errSaid
	}
	return nil
}
