-- Let a claim end soon, unless its consumer comes back.
--
-- ARGV[2]     the claim, 16 bytes
-- ARGV[3]     the consumer that has gone, 8 bytes
-- ARGV[4]     in how many microseconds
-- Returns     1, or 0 if the claim has ended, or is another consumer's by now
-- Complexity  O(log n)

local claim, consumer = ARGV[2], ARGV[3]
local ends = call("ZSCORE", CLAIMS, claim)
if not ends or consumer_of(claim) ~= consumer then
  close_head()
  return 0
end
local soon = now + ARGV[4]
if soon < tonumber(ends) then
  local since, _, grace = struct.unpack(">I7I4I4", call("HGET", LEASES, claim))
  note("c", { claim })
  call("ZADD", CLAIMS, soon, claim)
  call("HSET", LEASES, claim, pack_lease(since, math.max(0, math.ceil((soon - since) / 1000000)), grace, consumer))
  hold_time()
  wake_at(soon)
  call("SPUBLISH", CHANNEL, cmsgpack.pack({ "due", now, math.min(soon, first_score(DUE)) }))
end
close_head()
return 1
