-- One subscription.
--
-- ARGV[2]     sequence as 7 bytes
-- Returns     false, or {now, record, how far it is delivered to or false}
-- Complexity  O(1)

close_head()
local record = call("HGET", SUBSCRIPTIONS, ARGV[2])
return record and { now, record, call("HGET", (delivery_keys()), ARGV[2]) }
