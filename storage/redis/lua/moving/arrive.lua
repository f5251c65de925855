-- Make room for a copy, or go on with one.
--
-- ARGV[3]     the move before this one, if there was any; this one itself after settle_in.lua
-- ARGV[4]     1 to go on with the copy of that
-- Returns     KEPT: its copy is there; NEW: nothing is; OCCUPIED: the queue is here, and not by one of the two
-- Complexity  O(1): the memory is given back in the background (UNLINK)

local head = call("HMGET", HEAD, "last", "arriving", "arrived")
local copied_by = head[2] or head[3]
if head[1] and copied_by ~= MOVE and copied_by ~= ARGV[3] then
  return "OCCUPIED"
end
local keep = ARGV[4] == "1" and copied_by == ARGV[3]
if keep then
  call("HDEL", HEAD, "last", "visible", "wake", "bytes", "counted", "owner", "move", "arrived")
else
  wipe()
end
call("HSET", HEAD, "arriving", MOVE)
for _, key in ipairs(all_keys()) do
  call("EXPIRE", key, LEFT_BEHIND)
end
return keep and "KEPT" or "NEW"
