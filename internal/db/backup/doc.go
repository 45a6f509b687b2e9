// Package backup owns the file of a backup: writing one from a database in use, and making a database of one. Only app
// imports it.
//
// # The file
//
// A backup is an SQLite database, whichever engine it was made from, so that one of SQLite can be restored into Postgres
// and the other way round, and anybody can look into it. It holds every table of the schema as it was at one moment,
// and tables of its own, whose names begin with backup_: when, by which version and from which engine it was made; for
// each table the number of rows and a checksum; and what waited in the gateway's journal.
//
// # Promises
//
//   - Others read and write while a backup is made. It is the state of one moment: VACUUM INTO on SQLite, one snapshot on
//     Postgres.
//   - A file is whole or not there: it gets its name when everything in it has been read again and found right.
//   - A file that was changed, by however little, is not restored. The checksums guard against damage, not against
//     somebody who wants to deceive.
//   - A restore that fails or is killed leaves the database as it was. It goes into an empty one, unless it is told to
//     replace what is there; an SQLite file that is replaced is kept beside the new one.
//   - After a restore the rows are counted and summed up again, from the database itself.
//   - A backup of an older version is brought up to date on the way; one of a newer version is refused.
//
// What is not in it: who leads what at the moment (the table leases), the configuration file, and the secret under which
// the credentials of upstream APIs are sealed.
package backup
