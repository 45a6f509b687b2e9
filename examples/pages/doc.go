// Package pages is an example: a service of web pages. What they say is in
// resources/strings.yaml, in several languages, and how they look in
// resources/pages.html. It keeps nothing.
package pages

//go:generate go run m3o/internal/codegen/generate .
