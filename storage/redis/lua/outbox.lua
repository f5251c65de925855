-- The first dead letters in the outbox.
--
-- ARGV[2]     how many at the most
-- Returns     {now, entry, ...}: MessagePack arrays {queue name, ttl or -1, sequence as 7 bytes, expiry, record}
-- Complexity  O(k)

close_head()
return { now, unpack(call("LRANGE", OUTBOX, 0, ARGV[2] - 1)) }
