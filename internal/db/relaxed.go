package db

import "context"

type relaxedKey struct{}

// Relaxed returns a context whose transactions on SQLite are handed to the
// operating system and not waited for on the disk: they survive the death of the
// process, while a machine that loses power may lose the last of them, never a
// part of one and never one before another. A group is relaxed if all its members
// are. Postgres knows nothing of it, nor does a database that was opened with Strict.
//
// Use it for what another record can give back, such as calls that are in a
// journal of the same strength.
func Relaxed(ctx context.Context) context.Context {
	return context.WithValue(ctx, relaxedKey{}, true)
}

func isRelaxed(ctx context.Context) bool {
	relaxed, _ := ctx.Value(relaxedKey{}).(bool)
	return relaxed
}
