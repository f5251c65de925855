-- Take a dead letter out of the outbox.
--
-- ARGV[2]     the entry
-- Returns     1
-- Complexity  O(k) for k entries before it

call("LREM", OUTBOX, 1, ARGV[2])
close_head()
return 1
