// Package spec reads service.yaml, the contract of a service, and says everything that is wrong
// with it at once.
//
// It owns the grammar: the tables of sections and fields (grammar.go), signatures, paths and the
// rules that hold between them. Only internal/codegen and commands may import it; it imports
// internal/config/rule and nothing else of ours, so that no broken service stops it.
package spec
