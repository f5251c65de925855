-- Remove a subscription, if it is there.
--
-- ARGV[2]     its sequence as 7 bytes, or nothing to name it by its subscriber
-- ARGV[3]     the subscriber then
-- Returns     1
-- Complexity  O(log s) for s subscriptions

local sequence = ARGV[2] ~= "" and ARGV[2] or call("HGET", SUBSCRIBERS, ARGV[3])
local record = sequence and call("HGET", SUBSCRIPTIONS, sequence)
if record then
  drop_subscription(sequence, cmsgpack.unpack(record)[1], "deleted")
end
close_head()
return 1
