// Package migrations holds the schema's history, one folder a dialect with the same file names in both; a test holds the
// two schemas equal. Files are named YYYYMMDDNNNNNN_what.tx.up.sql and run in one transaction each; every statement is
// written so that running it again changes nothing (IF NOT EXISTS), since a crash may come before the run is noted. A file
// whose name lacks .tx runs outside of one, for CREATE INDEX CONCURRENTLY. The version before must be able to work with the
// schema after each: docs/migrations.md tells what that means, internal/expand judges.
package migrations

import "embed"

//go:embed postgres/*.sql sqlite/*.sql
var FS embed.FS
