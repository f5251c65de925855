-- The subscription of a subscriber.
--
-- ARGV[2]     subscriber
-- Returns     false, or {now, sequence as 7 bytes, record}
-- Complexity  O(1)

close_head()
local sequence = call("HGET", SUBSCRIBERS, ARGV[2])
return sequence and { now, sequence, call("HGET", SUBSCRIPTIONS, sequence) }
