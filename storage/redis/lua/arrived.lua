-- A dead letter has left its old queue's outbox: it need not be remembered much longer.
--
-- ARGV[2]     where it comes from: the 16 bytes of its old id
-- Returns     1
-- Complexity  O(log n)

-- A day: longer than any node can have held the letter in its hands when it left the outbox.
note("o", { ARGV[2] })
call("ZADD", ORIGINS, "XX", now + 86400 * 1000000, ARGV[2])
close_head()
return 1
