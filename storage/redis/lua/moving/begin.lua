-- Begin to note what changes in a queue that is to move.
--
-- ARGV[3]     microseconds that changes are noted unless the mover renews it
-- ARGV[4]     the move that this one goes on with, or nothing
-- Returns     {1, newest number} if all changes since that one began are noted, {0, newest number} if those from now
--             on are; {pool} if the queue has moved there; STALE if it is not here
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
  return { 1, tonumber(head[1]) }
end
call("UNLINK", NOTED, TAKEN)
return { 0, tonumber(head[1]) }
