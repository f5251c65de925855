-- Make room for a queue. Stands alone: there is no head yet that opening.lua could read.
--
-- KEYS[1]     {incarnation}:head
-- Returns     1; the name of the pool that the queue has moved to; STALE if it was removed
-- Complexity  O(1)

if redis.call("HEXISTS", KEYS[1], "removed") == 1 then
  return redis.error_reply("STALE the queue was removed")
end
local pool = redis.call("HGET", KEYS[1], "moved")
if pool then
  return pool
end
if redis.call("EXISTS", KEYS[1]) == 0 then
  redis.call("HSET", KEYS[1], "last", 0, "visible", 0, "wake", 9007199254740991, "bytes", 0)
end
return 1
