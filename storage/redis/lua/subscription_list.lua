-- Subscriptions in the order in which they were made.
--
-- ARGV[2]     begin behind this sequence (a number)
-- ARGV[3]     how many at the most
-- Returns     {now, sequence, record, ...}
-- Complexity  O(log s + k) for s subscriptions, k told

close_head()
local reply = { now }
for _, sequence in ipairs(call("ZRANGEBYSCORE", SUBSCRIPTION_ORDER, "(" .. ARGV[2], "+inf", "LIMIT", 0, ARGV[3])) do
  reply[#reply + 1] = sequence
  reply[#reply + 1] = call("HGET", SUBSCRIPTIONS, sequence)
end
return reply
