-- Add a subscription.
--
-- ARGV[2]     subscriber
-- ARGV[3]     seconds it lives
-- ARGV[4]     record: MessagePack array that begins with the subscriber
-- Returns     its sequence, or false if the subscriber has one
-- Complexity  O(log s) for s subscriptions

if call("HEXISTS", SUBSCRIBERS, ARGV[2]) == 1 then
  close_head()
  return false
end
local number = draw()
local sequence, expires = pack_number(number), number + ARGV[3] * 1000000
call("HSET", SUBSCRIPTIONS, sequence, ARGV[4])
call("HSET", SUBSCRIBERS, ARGV[2], sequence)
call("ZADD", SUBSCRIPTION_ORDER, number, sequence)
call("ZADD", SUBSCRIPTION_EXPIRY, expires, sequence)
wake_at(expires)
close_head()
return number
