-- The queue stays: note no more changes.
--
-- Returns     1
-- Complexity  O(1)

local move = call("HGET", HEAD, "move")
if move and unpack_move(move) == MOVE then
  call("HDEL", HEAD, "move")
  call("UNLINK", NOTED, TAKEN)
end
return 1
