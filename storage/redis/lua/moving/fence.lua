-- Let requests wait, so that nothing changes any more; or let them go on.
--
-- ARGV[3]     lease, as in begin.lua
-- ARGV[4]     microseconds that they wait, shorter than the lease; 0: not at all
-- Returns     {last, visible, bytes, counted} of the head
-- Complexity  O(1)

local refused = open_source(ARGV[3])
if refused then
  return refused
end
local fence = tonumber(ARGV[4])
call("HSET", HEAD, "move", pack_move(MOVE, clock + ARGV[3], fence > 0 and clock + fence or 0))
local sizes = call("HMGET", HEAD, "bytes", "counted")
if not sizes[1] then -- as opening.lua will say
  return { last, visible, 0, last }
end
return { last, visible, tonumber(sizes[1]), tonumber(sizes[2] or 0) }
