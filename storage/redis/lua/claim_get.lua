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
local reply = { now, lease }
tell_held(reply, ARGV[2])
return reply
