-- Subscriptions that are delivered to, in the order in which they were made.
--
-- ARGV[2]     the owner, 8 bytes
-- ARGV[3]     begin behind this sequence (a number)
-- ARGV[4]     how many at the most
-- Returns     false if another delivers; {now, timeline, sequence, its record, its delivery, ...}
-- Complexity  O(log d + k) for d deliveries, k told

close_head()
if not is_owner() then
  return false
end
local reply = { now, timeline() }
local found = call("ZRANGEBYSCORE", DELIVERY_ORDER, "(" .. ARGV[3], "+inf", "LIMIT", 0, ARGV[4])
for _, sequence in ipairs(found) do
  local record, delivery = call("HGET", SUBSCRIPTIONS, sequence), call("HGET", DELIVERIES, sequence)
  if record and delivery then
    reply[#reply + 1] = sequence
    reply[#reply + 1] = record
    reply[#reply + 1] = delivery
  else -- a version that does not deliver has removed the subscription
    note("s", { sequence })
    forget_delivery(sequence)
  end
end
if #found > 0 and #reply == 2 then
  return redis.status_reply("AGAIN")
end
return reply
