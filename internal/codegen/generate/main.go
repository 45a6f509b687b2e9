// Command generate runs the generator of services with nothing else compiled in, so that it works
// while generated files are broken: go run ./internal/codegen/generate [--check] [DIR...].
package main

import (
	"fmt"
	"os"

	"m3o/internal/codegen"
)

func main() {
	options := codegen.Options{Root: "."}
	for _, arg := range os.Args[1:] {
		if arg == "--check" {
			options.Check = true
			continue
		}
		options.Dirs = append(options.Dirs, arg)
	}
	report, err := codegen.Generate(options)
	fmt.Print(report)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if options.Check && len(report.Files) > 0 {
		os.Exit(1)
	}
}
