-- A queue may have something to deliver.
--
-- ARGV[2]     the queue
-- Returns     1
-- Complexity  O(log n)

local generation, owner = read_terms(ARGV[2])
local ends = owner and call("ZSCORE", QUEUES, ARGV[2]) or 0
write_terms(ARGV[2], ends, math.max((generation or 0) + 1, now), owner or "")
return 1
