// Package migrations embeds the schema: one folder a service, with files NNNN_name.sql in goose's form, forward only,
// the same text for every engine. Only what opens a database imports it; db.Migrate applies it.
package migrations

import "embed"

// FS holds the folders.
//
//go:embed */*.sql
var FS embed.FS
