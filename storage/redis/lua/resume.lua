-- Whether something is lost for those who have got all messages up to a position.
--
-- ARGV[2, 3]  the position, and the timeline that it is of; empty: not known
-- Returns     {the queue's timeline}, and if something is lost: from where, up to where, and why
-- Complexity  O(log n)

close_head()
return { timeline(), lost_behind(tonumber(ARGV[2]), ARGV[3] ~= "" and ARGV[3] or nil) }
