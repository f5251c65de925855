-- Free messages that a claim holds, each at its old place. What it does not hold is left as it is.
--
-- ARGV[2]     the claim, 16 bytes
-- ARGV[3..]   sequences as 7 bytes
-- Returns     how many it freed
-- Complexity  O(k log n) for k messages

local claim, sequences = ARGV[2], {}
for i = 3, #ARGV do
  if call("ZSCORE", HELD, claim .. ARGV[i]) then
    sequences[#sequences + 1] = ARGV[i]
  end
end
free(claim, sequences)
close_head()
return #sequences
