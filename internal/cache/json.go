package cache

import (
	"context"
	"encoding/json"
	"fmt"
)

// StoreJSON is Store of a value's JSON.
func StoreJSON[T any](ctx context.Context, c *Cache, key string, value T, options ...StoreOption) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode a value for the cache of %s: %w", c.config.Host, err)
	}
	return c.Store(ctx, key, text, options...)
}

// LoadJSON is Load of a value that StoreJSON stored. JSON that is not that of a T is a
// miss, which the log tells: another version of the service may have stored it.
func LoadJSON[T any](ctx context.Context, c *Cache, key string, options ...LoadOption) (value T, ok bool, err error) {
	text, ok, err := c.Load(ctx, key, options...)
	if !ok || err != nil {
		return value, false, err
	}
	if json.Unmarshal(text, &value) == nil {
		return value, true, nil
	}
	var nothing T
	c.config.Log.WarnContext(ctx, "a value of the cache is not what is looked for", "host", c.config.Host, "type", fmt.Sprintf("%T", nothing))
	return nothing, false, nil
}
