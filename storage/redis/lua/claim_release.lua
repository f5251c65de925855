-- End a claim: what it holds is free again, each at its old place.
--
-- ARGV[2]     the claim, 16 bytes
-- ARGV[3]     the consumer that it must be of, or nothing happens; absent: whoever's it is
-- Returns     1, or AGAIN while it holds more
-- Complexity  O(k log n) for k messages, at most BUDGET in one call

if ARGV[3] and consumer_of(ARGV[2]) ~= ARGV[3] then
  close_head()
  return 1
end
local _, ended = release(ARGV[2], BUDGET)
close_head()
if not ended then
  return redis.status_reply("AGAIN")
end
return 1
