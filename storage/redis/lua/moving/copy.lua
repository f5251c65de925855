-- Read a page of what the queue holds.
--
-- ARGV[3]     lease, as in begin.lua
-- ARGV[4]     which: a key of COPIED
-- ARGV[5, 6]  score and member to go on behind; -inf and nothing at the beginning
-- ARGV[7, 8]  how many at the most, and how many bytes, about
-- Returns     {notes, score, member, items...}: how many changes are noted; where to go on. No items: that was all
-- Complexity  O(log n + k) for k items

local refused = open_source(ARGV[3])
if refused then
  return refused
end
-- What changes place while it is read is noted, so that nothing is missed.
local _, firsts_expiry = firsts_keys()
local COPIED = {
  free = { FREE, "m" },
  claimed = { CLAIMED, "m" },
  delayed = { DELAYED, "m" },
  claims = { CLAIMS, "c" },
  subscriptions = { SUBSCRIPTION_ORDER, "s" },
  origins = { ORIGINS, "o" },
  lost = { lost_key(), "l" },
  firsts = { firsts_expiry, "f" },
}
local key, kind = unpack(COPIED[ARGV[4]])
local score, member, limit, bytes = ARGV[5], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])

-- Several may have one score, so it goes on behind the member; if that has gone, at its score once more.
local entries
if member ~= "" and call("ZSCORE", key, member) == score then
  local rank = call("ZRANK", key, member)
  entries = call("ZRANGE", key, rank + 1, rank + limit, "WITHSCORES")
else
  entries = call("ZRANGEBYSCORE", key, score, "+inf", "WITHSCORES", "LIMIT", 0, limit)
end
local items, size = {}, 0
for i = 1, #entries, 2 do
  if size >= bytes then
    break
  end
  member, score = entries[i], entries[i + 1]
  items[#items + 1] = read(kind, member)
  size = size + #items[#items]
end
return { call("SCARD", NOTED) + call("SCARD", TAKEN), score, member, unpack(items) }
