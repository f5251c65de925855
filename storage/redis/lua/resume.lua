-- Whether something is lost for those who have got all messages up to a position.
--
-- ARGV[2]     the position
-- Returns     nothing in it, or from where, up to where, and why
-- Complexity  O(log n)

close_head()
return { lost_behind(tonumber(ARGV[2])) }
