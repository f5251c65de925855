-- End a claim: what it holds is free again, each at its old place.
--
-- ARGV[2]     the claim, 16 bytes
-- Returns     1, or AGAIN while it holds more
-- Complexity  O(k log n) for k messages, at most BUDGET in one call

local _, ended = release(ARGV[2], BUDGET)
close_head()
if not ended then
  return redis.status_reply("AGAIN")
end
return 1
