-- The generic cell rate algorithm over limits that are taken from together: from all or
-- from none. pace.go is the same arithmetic.
--
-- KEYS: the limits. ARGV, for each: its rate, the fewest and the most calls that are
-- wanted; negative numbers give back.
-- Answer, for each: calls taken, calls that remain, nanoseconds to wait (0: no need to).
--
-- A limit's value is its arrival in Unix nanoseconds. That is more than a number here can
-- hold, so it is read as whole microseconds and the rest.
local burst = 1000000000
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local limits, answer, refused = {}, {}, false
for i, key in ipairs(KEYS) do
	local fewest, most = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
	local every = math.max(math.floor(burst / ARGV[3 * i - 2]), 1)
	local arrival, ahead = redis.call('GET', key), 0
	if arrival then
		ahead = (tonumber(string.sub(arrival, 1, -4)) - now) * 1000 + tonumber(string.sub(arrival, -3), 10)
		if ahead < 0 or ahead > burst then
			ahead = 0
		end
	end
	local there = math.floor((burst - ahead) / every)
	local taken, wait = math.min(most, there), 0
	if taken < fewest then
		taken, wait, refused = 0, ahead + fewest * every - burst, true
	end
	limits[i] = {ahead = ahead, every = every, taken = taken, wait = wait}
end

for i, key in ipairs(KEYS) do
	local limit = limits[i]
	if refused then
		limit.taken = 0
	end
	local ahead = math.max(limit.ahead + limit.taken * limit.every, 0)
	if limit.taken ~= 0 then
		local arrival = string.format('%.0f%03d', now + math.floor(ahead / 1000), ahead % 1000)
		redis.call('SET', key, arrival, 'PX', math.max(math.ceil(ahead / 1000000), 1))
	end
	answer[3 * i - 2] = limit.taken
	answer[3 * i - 1] = math.floor((burst - ahead) / limit.every)
	answer[3 * i] = limit.wait
end
return answer
