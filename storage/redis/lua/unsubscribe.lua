-- Remove a subscription, if it is there.
--
-- ARGV[2]     sequence as 7 bytes
-- Returns     1
-- Complexity  O(log s) for s subscriptions

local record = call("HGET", SUBSCRIPTIONS, ARGV[2])
if record then
  drop_subscription(ARGV[2], cmsgpack.unpack(record)[1])
end
close_head()
return 1
