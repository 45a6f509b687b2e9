package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"m3o/internal/app"
)

type servicesCmd struct {
	JSON bool `name:"json" help:"Print the services as a JSON array."`
}

// Run prints what each service can do, and what it is tied to.
func (c *servicesCmd) Run(s streams) error {
	all, err := app.Wirings()
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(s.out).Encode(printedServices(all))
	}
	list := printedServices(all)
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVICE\tFUNCTION\tACCESS\tMETHOD\tPATH")
	for _, d := range list {
		for _, f := range d.Functions {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", d.Service, f.Name, f.Access, f.Method, f.Path)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(table, "\nSERVICE\tDATA\tCALLS\tCALLED BY")
	for _, d := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", d.Service, yes(d.KeepsData), orDash(d.Calls), orDash(d.CalledBy))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(table, "\nSERVICE\tFIRES\tHEARS\tSTATES\tCONSUMES")
	for _, d := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", d.Service, orDash(d.Fires), orDash(d.Hears), orDash(d.States), orDash(d.Consumes))
	}
	return table.Flush()
}

// printedService is a service as it is printed.
type printedService struct {
	Service   string            `json:"service"`
	KeepsData bool              `json:"keeps_data"` // has a place in the database
	Functions []printedFunction `json:"functions"`
	Calls     []string          `json:"calls"`     // services
	CalledBy  []string          `json:"called_by"` // services
	Fires     []string          `json:"fires"`     // its events
	Hears     []string          `json:"hears"`     // events of others, with their service
	States    []string          `json:"states"`    // durable topics
	Consumes  []string          `json:"consumes"`  // durable topics
}

func printedServices(all []app.Wiring) []printedService {
	calledBy := map[string][]string{}
	for _, w := range all {
		for _, called := range w.Calls {
			calledBy[called] = append(calledBy[called], w.Host)
		}
	}
	list := make([]printedService, len(all))
	for i, w := range all {
		list[i] = printedService{
			Service: w.Host, KeepsData: !w.Stateless, Functions: []printedFunction{}, Calls: orNone(w.Calls), CalledBy: orNone(calledBy[w.Host]),
			Fires: orNone(w.Fires), Hears: orNone(w.Hears), States: orNone(w.States), Consumes: topics(w.Consumes),
		}
		for _, f := range w.Functions {
			list[i].Functions = append(list[i].Functions, printedFunction{f.Name, string(f.Access), f.Method, "/" + f.Host + f.Path})
		}
	}
	return list
}

func topics(consumed []app.Subscription) []string {
	names := make([]string, len(consumed))
	for i, s := range consumed {
		names[i] = s.Topic
	}
	return names
}

// orNone is a list that JSON shows as [] when it is empty.
func orNone(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

func orDash(list []string) string { return cmp.Or(strings.Join(list, ", "), "-") }

type printedFunction struct {
	Name   string `json:"name"`
	Access string `json:"access"`
	Method string `json:"method"`
	Path   string `json:"path"`
}
