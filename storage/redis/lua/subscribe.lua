-- Add a subscription.
--
-- ARGV[2]     subscriber
-- ARGV[3]     seconds it lives
-- ARGV[4]     record: MessagePack array that begins with the subscriber, and that no other call has
-- Returns     its sequence, also when called again; false if the subscriber has another
-- Complexity  O(log s) for s subscriptions

local known = call("HGET", SUBSCRIBERS, ARGV[2])
if known then
  close_head()
  return call("HGET", SUBSCRIPTIONS, known) == ARGV[4] and unpack_number(known)
end
local number = draw()
local sequence, expires = pack_number(number), number + ARGV[3] * 1000000
note("s", { sequence })
call("HSET", SUBSCRIPTIONS, sequence, ARGV[4])
call("HSET", SUBSCRIBERS, ARGV[2], sequence)
call("ZADD", SUBSCRIPTION_ORDER, number, sequence)
call("ZADD", SUBSCRIPTION_EXPIRY, expires, sequence)
wake_at(expires)
close_head()
return number
