-- Let the queue leave: nothing stays but the name of its pool.
--
-- ARGV[3]     lease, as in begin.lua
-- ARGV[4]     the pool
-- Returns     1; 0 if requests do not wait any more, or changes are left to be copied
-- Complexity  O(1): the memory is given back in the background (UNLINK)

if call("HGET", HEAD, "by") == MOVE then -- called again
  return 1
end
local refused, fence = open_source(ARGV[3])
if refused then
  return refused
end
if clock >= fence or call("EXISTS", NOTED, TAKEN) > 0 then
  return 0
end
wipe()
call("HSET", HEAD, "moved", ARGV[4], "by", MOVE)
call("SPUBLISH", CHANNEL, cmsgpack.pack({ "moved", ARGV[4] }))
return 1
