package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"m3o/internal/app"
	"m3o/internal/codegen"
)

type openAPICmd struct{}

// Run prints the document.
func (openAPICmd) Run(s streams) error {
	text, err := app.OpenAPI(version())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s\n", text)
	return err
}

type generateCmd struct {
	Check bool     `xor:"way" help:"Write nothing; fail when something is out of date."`
	Watch bool     `xor:"way" help:"Generate again after each change, until Ctrl-C."`
	Dirs  []string `arg:"" optional:"" name:"dir" help:"Folders of services; all of the module when none is given."`
}

// lookEvery is how often --watch looks for changes.
const lookEvery = 300 * time.Millisecond

// Run generates.
func (c *generateCmd) Run(ctx context.Context, s streams) error {
	options := codegen.Options{Root: ".", Dirs: c.Dirs, Check: c.Check}
	if c.Watch {
		ticks := time.NewTicker(lookEvery)
		defer ticks.Stop()
		return codegen.Watch(ctx, options, ticks.C, s.say)
	}
	report, err := codegen.Generate(options)
	_, _ = fmt.Fprint(s.out, report)
	switch {
	case err != nil:
		return err
	case c.Check && len(report.Files) > 0:
		return errors.New("generated files are out of date: run m3o generate")
	}
	return nil
}

// say tells how one run of many went.
func (s streams) say(report codegen.Report, err error) {
	_, _ = fmt.Fprint(s.out, report)
	if err != nil {
		_, _ = fmt.Fprintln(s.err, err)
	}
}

type newCmd struct {
	Name string `arg:"" help:"One lower-case noun; folders may stand before it, as in shop/notes."`
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
	mistakes, warnings := codegen.Validate(c.Files)
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
