-- Start a claim's time anew, and keep its messages alive for it.
--
-- ARGV[2]     the claim, 16 bytes
-- ARGV[3, 4]  ttl and grace in seconds
-- Returns     1, or 0 if there is no such claim
-- Complexity  O(k log n) for k messages

local claim, ttl, grace = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if not call("ZSCORE", CLAIMS, claim) then
  close_head()
  return 0
end
keep_held_alive(claim, held_by(claim, -1), ttl, grace)
begin(claim, ttl, grace, consumer_of(claim))
close_head()
return 1
