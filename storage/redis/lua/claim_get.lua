-- A live claim with what it holds.
--
-- ARGV[2]     the claim, 16 bytes
-- Returns     false, or {now, lease, sequence, position, state, record, ...} in the order of positions
-- Complexity  O(log n + k log k) for k messages

local lease = call("HGET", LEASES, ARGV[2])
close_head()
if not lease then
  return false
end
local places = {}
for i, sequence in ipairs(held_by(ARGV[2], -1)) do
  places[i] = { sequence, tonumber(call("ZSCORE", CLAIMED, sequence)) }
end
table.sort(places, function(one, other)
  return one[2] < other[2]
end)
local reply = { now, lease }
for _, place in ipairs(places) do
  local sequence = place[1]
  tell(reply, sequence, string.format("%.0f", place[2]), call("HGET", STATES, sequence), call("HGET", MESSAGES, sequence))
end
return reply
