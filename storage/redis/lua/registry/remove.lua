-- Remove queues that have nothing to deliver.
--
-- ARGV[2]     microseconds that a queue stays after it was added
-- ARGV[3..]   queue, and the generation that it must have, ...
-- Returns     those that are gone
-- Complexity  O(k log n) for k queues

local reply = {}
for i = 3, #ARGV, 2 do
  local generation = read_terms(ARGV[i])
  if generation == tonumber(ARGV[i + 1]) and generation <= now - ARGV[2] then
    call("ZREM", QUEUES, ARGV[i])
    call("HDEL", TERMS, ARGV[i])
    generation = nil
  end
  if not generation then
    reply[#reply + 1] = ARGV[i]
  end
end
return reply
