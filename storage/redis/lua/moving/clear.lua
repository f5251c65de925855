-- The queue does not come here after all: remove the copy of the move.
--
-- Returns     1
-- Complexity  O(1): the memory is given back in the background (UNLINK)

local head = call("HMGET", HEAD, "arriving", "arrived")
if head[1] == MOVE or head[2] == MOVE then
  wipe()
end
return 1
