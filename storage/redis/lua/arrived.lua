-- A dead letter has left its old queue's outbox: it need not be remembered much longer.
--
-- ARGV[2]     where it comes from: the 16 bytes of its old id
-- Returns     1
-- Complexity  O(log n)

call("ZADD", ORIGINS, "XX", now + 600 * 1000000, ARGV[2])
close_head()
return 1
