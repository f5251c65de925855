-- Deliver to a queue's subscribers, in place of whoever does.
--
-- ARGV[2]     the owner, 8 bytes
-- Returns     1
-- Complexity  O(1)

call("HSET", HEAD, "owner", ARGV[2] .. timeline())
close_head()
return 1
