-- Lease queues that nobody delivers for.
--
-- ARGV[2]     who takes them, 8 bytes
-- ARGV[3, 4]  how many at the most; for how many microseconds
-- ARGV[5]     microseconds that a lease may last: what ends later was leased before the clock was set back
-- Returns     {queue, generation, ...}
-- Complexity  O(log n + k log n) for k queues

local owner, limit = ARGV[2], tonumber(ARGV[3])
local found = call("ZRANGEBYSCORE", QUEUES, "-inf", now, "LIMIT", 0, limit)
local beyond = string.format("(%.0f", now + ARGV[5])
for _, queue in ipairs(call("ZRANGEBYSCORE", QUEUES, beyond, "+inf", "LIMIT", 0, limit - #found)) do
  found[#found + 1] = queue
end
local reply = {}
for _, queue in ipairs(found) do
  local generation = read_terms(queue)
  write_terms(queue, now + ARGV[4], generation, owner)
  reply[#reply + 1] = queue
  reply[#reply + 1] = generation
end
return reply
