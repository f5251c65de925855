-- The source has let the queue go: operations need not wait any more.
--
-- Returns     1
-- Complexity  O(1)

if call("HGET", HEAD, "arrived") == MOVE then
  call("HDEL", HEAD, "arrived", "move")
end
return 1
