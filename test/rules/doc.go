// Package rules holds the house's order as tests: which way imports go, where time
// and background work may begin, what may be a package variable, which library lives
// in which room, what SQL may say. Each failure names the place and the reason.
//
// A rule is bent by a row in its table, with the reason beside it; a row that nothing
// needs any more fails too. Nobody imports this package.
package rules
