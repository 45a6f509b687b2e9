package db

import "testing"

func TestNumbersInOrderBecomeQuestionMarks(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"SELECT 1":                           "SELECT 1",
		"VALUES ($1, $2), ($3, $4)":          "VALUES (?, ?), (?, ?)",
		"UPDATE t SET a = $1 WHERE b = $2":   "UPDATE t SET a = ? WHERE b = ?",
		"UPDATE t SET a = $2 WHERE b = $1":   "UPDATE t SET a = $2 WHERE b = $1",
		"SELECT $1, $1":                      "SELECT $1, $1",
		"SELECT $1 WHERE a = '$2'":           "SELECT $1 WHERE a = '$2'",
		"SELECT $10":                         "SELECT $10",
		"SELECT $1$2":                        "SELECT ??",
		"SELECT $name":                       "SELECT $name",
		"SELECT $":                           "SELECT $",
		"($1,$2,$3,$4,$5,$6,$7,$8,$9,$10) ":  "(?,?,?,?,?,?,?,?,?,?) ",
		"($1,$2,$3,$4,$5,$6,$7,$8,$9,$101) ": "($1,$2,$3,$4,$5,$6,$7,$8,$9,$101) ",
	} {
		if got := unnumbered(query); got != want {
			t.Errorf("%q became %q, want %q", query, got, want)
		}
	}
}

func TestLimitsHaveATypeWhenPrepared(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"SELECT a WHERE b = $1 LIMIT $2":         "SELECT a WHERE b = ? LIMIT CAST(? AS INTEGER)",
		"SELECT a WHERE c = 'x' LIMIT $1":        "SELECT a WHERE c = 'x' LIMIT CAST($1 AS INTEGER)",
		"SELECT a LIMIT 5":                       "SELECT a LIMIT 5",
		"DELETE WHERE i IN (SELECT j LIMIT $1) ": "DELETE WHERE i IN (SELECT j LIMIT CAST(? AS INTEGER)) ",
	} {
		if got := prepared(query); got != want {
			t.Errorf("%q became %q, want %q", query, got, want)
		}
	}
}
