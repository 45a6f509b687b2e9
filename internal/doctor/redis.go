package doctor

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"m3o/internal/id"
)

// redisKeys begins the keys of a system.
const redisKeys = "m3o:"

// redis looks at where gateways share their rate limits.
func (e *examination) redis(ctx context.Context) {
	const part = "redis"
	if e.Redis == "" {
		return
	}
	options, err := redis.ParseURL(e.Redis)
	if err != nil { // its text may hold parts of the URL
		e.fail(part, "give a URL such as redis://user:password@host:6379/0, or rediss:// with TLS", "the URL cannot be read")
		return
	}
	options.DialTimeout, options.MaxRetries = 5*time.Second, -1
	c := redis.NewClient(options)
	defer func() { _ = c.Close() }()
	asked := e.Now()
	theirs, err := c.Time(ctx).Result()
	if err != nil {
		e.fail(part, "look whether it runs, whether this machine reaches it, and whether user and password are right", "%s cannot be used: %s", withoutPasswords(e.Redis), oneLine(err))
		return
	}
	answered := e.Now()
	e.redisServer(ctx, c)
	e.redisWrites(ctx, c)
	e.clock(part, theirs, asked, answered, 0)
}

func (e *examination) redisServer(ctx context.Context, c *redis.Client) {
	const part = "redis"
	info, err := c.InfoMap(ctx).Result()
	if err != nil {
		e.warn(part, "allow the user to INFO", "its version cannot be seen: %s", oneLine(err))
		return
	}
	e.ok(part, "Redis %s at %s", cmp.Or(info["Server"]["redis_version"], "of an unknown version"), c.Options().Addr)
	policy, limited := info["Memory"]["maxmemory_policy"], info["Memory"]["maxmemory"] != "0"
	if limited && strings.HasPrefix(policy, "allkeys-") {
		e.warn(part, "set maxmemory-policy noeviction or volatile-ttl: a limit that was evicted begins anew", "it drops any key when its memory is full (%s)", policy)
	}
}

// redisWrites writes a key by a script, as the limits do.
func (e *examination) redisWrites(ctx context.Context, c *redis.Client) {
	const part = "redis"
	key := redisKeys + "doctor:" + id.New("key")
	const script = `redis.call('SET', KEYS[1], 'x', 'PX', 1000); return redis.call('DEL', KEYS[1])`
	if n, err := c.Eval(ctx, script, []string{key}).Int(); err != nil || n != 1 {
		if err == nil {
			err = errors.New("the key was gone at once")
		}
		e.fail(part, "allow the user ~"+redisKeys+"* +@all, and write to the primary", "a key cannot be written by a script: %s", oneLine(err))
		return
	}
	e.ok(part, "keys can be written by scripts")
}
