-- Lease queues anew.
--
-- ARGV[2]     who has leased them, 8 bytes
-- ARGV[3]     for how many microseconds from now
-- ARGV[4..]   the queues
-- Returns     {queue, generation, ...}: those that nobody else has
-- Complexity  O(k log n) for k queues

local reply = {}
for i = 4, #ARGV do
  local generation, owner = read_terms(ARGV[i])
  if owner == ARGV[2] then
    write_terms(ARGV[i], now + ARGV[3], generation, owner)
    reply[#reply + 1] = ARGV[i]
    reply[#reply + 1] = generation
  end
end
return reply
