-- Begin to note what changes in a queue that is to move.
--
-- ARGV[3]     microseconds that changes are noted unless the mover renews it
-- ARGV[4]     the move that this one goes on with, or nothing
-- Returns     KEPT: all changes since that one began are noted; NEW: those from now on; or {pool} if the queue has moved
--             there; STALE if it is not here
-- Complexity  O(1)

local head = call("HMGET", HEAD, "last", "move", "moved")
if head[3] then
  return { head[3] }
end
if not head[1] then
  return refuse("STALE")
end
local known = head[2] and unpack_move(head[2])
call("HSET", HEAD, "move", pack_move(MOVE, clock + ARGV[3], 0))
if known and known == ARGV[4] then
  return "KEPT"
end
call("UNLINK", NOTED, TAKEN)
return "NEW"
