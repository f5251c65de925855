-- The first dead letters in the outbox.
--
-- ARGV[2]     how many at the most
-- Returns     entries: MessagePack arrays {queue name, ttl or -1, sequence as 7 bytes, expiry, record}
-- Complexity  O(k)

close_head()
return call("LRANGE", OUTBOX, 0, ARGV[2] - 1)
