-- Read a page of what the queue holds.
--
-- ARGV[3]     lease, as in begin.lua
-- ARGV[4]     which: a key of COPIED
-- ARGV[5, 6]  score and member to go on behind; -inf and nothing at the beginning
-- ARGV[7, 8]  how many at the most, and how many bytes, about
-- ARGV[9]     the newest number when noting began: what has a later one is noted, and need not be copied here
-- Returns     {more, notes, score, member, items...}: 1 if there may be more; how many changes are noted; where to go on
-- Complexity  O(log n + k) for k items

local refused = open_source(ARGV[3])
if refused then
  return refused
end
-- What changes place while it is read is noted, so that nothing is missed. Scores are numbers, or times.
local _, firsts_expiry = firsts_keys()
local COPIED = {
  free = { FREE, "m", true },
  claimed = { CLAIMED, "m", true },
  delayed = { DELAYED, "m", true },
  claims = { CLAIMS, "c", false },
  subscriptions = { SUBSCRIPTION_ORDER, "s", true },
  origins = { ORIGINS, "o", false },
  lost = { lost_key(), "l", false },
  firsts = { firsts_expiry, "f", false },
}
local key, kind, by_number = unpack(COPIED[ARGV[4]])
local newest = by_number and tonumber(ARGV[9]) or NEVER
local score, member, limit, bytes = ARGV[5], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])

-- Several may have one score, so it goes on behind the member; if that has gone, at its score once more.
local entries
if member ~= "" and call("ZSCORE", key, member) == score then
  local rank = call("ZRANK", key, member)
  entries = call("ZRANGE", key, rank + 1, rank + limit, "WITHSCORES")
else
  entries = call("ZRANGEBYSCORE", key, score, "+inf", "WITHSCORES", "LIMIT", 0, limit)
end
local items, size, more = {}, 0, #entries == 2 * limit
for i = 1, #entries, 2 do
  if tonumber(entries[i + 1]) > newest then
    more = false
    break
  elseif size >= bytes then
    more = true
    break
  end
  member, score = entries[i], entries[i + 1]
  items[#items + 1] = read(kind, member)
  size = size + #items[#items]
end
return { more and 1 or 0, call("SCARD", NOTED) + call("SCARD", TAKEN), score, member, unpack(items) }
