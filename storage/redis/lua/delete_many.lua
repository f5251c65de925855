-- Delete messages, all or none.
--
-- ARGV[2]     how many claims follow; -1: whoever holds a message does not matter
-- ARGV[3..]   claims as 16 bytes, then sequences as 7 bytes
-- Returns     1, or 0 if one of them is not held by one of the claims (then nothing is deleted)
-- Complexity  O(k log n) for k messages

local named = tonumber(ARGV[2])
local claims, sequences, seen, size = {}, {}, {}, 0
for i = 3, 2 + named do
  claims[ARGV[i]] = true
end
for i = 3 + math.max(named, 0), #ARGV do
  local bytes_of_it = seen[ARGV[i]] and 0 or call("HSTRLEN", MESSAGES, ARGV[i])
  if bytes_of_it > 0 then
    seen[ARGV[i]] = true
    size = size + weight(ARGV[i], bytes_of_it)
    sequences[#sequences + 1] = ARGV[i]
    local _, _, holder = read_state(call("HGET", STATES, ARGV[i]))
    if named >= 0 and not claims[holder] then
      close_head()
      return 0
    end
  end
end
remove(sequences, "deleted", nil, size)
close_head()
return 1
