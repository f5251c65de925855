-- The copy is complete. Operations find the queue, and wait until the source has let it go.
--
-- ARGV[3..6]  last, visible, bytes and counted of the source's head
-- ARGV[7]     microseconds that they wait at the most
-- ARGV[8]     how many dead letters are on their way
-- Returns     1
-- Complexity  O(log n)

local head = call("HMGET", HEAD, "arriving", "arrived")
if head[2] == MOVE then -- called again
  return 1
end
if head[1] ~= MOVE then
  return refuse("OVERTAKEN")
end
if ARGV[8] == "0" then
  call("UNLINK", OUTBOX) -- what an earlier try has put there; else the first letter has removed that
end
wake = math.min(first_score(CLAIMS), first_score(EXPIRY), first_score(DUE), first_score(SUBSCRIPTION_EXPIRY))
local _, firsts_expiry = firsts_keys()
wake = math.min(wake, first_score(firsts_expiry) + FORGET_WITHIN)
local fence = clock + ARGV[7]
call("HDEL", HEAD, "arriving")
call("HSET", HEAD, "arrived", MOVE, "last", ARGV[3], "visible", ARGV[4], "wake", wake, "move", pack_move(MOVE, fence, fence))
call("HSET", HEAD, "bytes", ARGV[5])
if ARGV[6] ~= "0" then
  call("HSET", HEAD, "counted", ARGV[6])
end
for _, key in ipairs(all_keys()) do
  call("PERSIST", key)
end
return 1
