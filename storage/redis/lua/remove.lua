-- Remove a queue with all that is in it. Its head stays behind for a day, so that nobody makes it anew.
--
-- Returns     1, or 0 if dead letters must leave the outbox first
-- Complexity  O(1): the memory is given back in the background (UNLINK)

if call("LLEN", OUTBOX) > 0 then
  close_head()
  return 0
end
wipe()
call("HSET", HEAD, "removed", 1)
call("EXPIRE", HEAD, 86400)
call("SPUBLISH", CHANNEL, cmsgpack.pack({ "ended", false, NEVER, "queue_deleted" }))
return 1
