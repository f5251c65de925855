-- Delete one message, if the one who asks may (protocol.md section 5).
--
-- ARGV[2]     sequence as 7 bytes
-- ARGV[3]     "any": no claim is named; else the claim, 16 bytes, or nothing for one that cannot exist
-- Returns     DONE (also if it is gone), CLAIMED, NO_SUCH_CLAIM, NOT_CLAIMED or OTHER_CLAIM
-- Complexity  O(log n)

local sequence, claim = ARGV[2], ARGV[3]
close_head()
local size = call("HSTRLEN", MESSAGES, sequence)
if size == 0 then
  return "DONE"
end
local _, _, holder = read_state(call("HGET", STATES, sequence))
if claim == "any" then
  if holder ~= "" then
    return "CLAIMED"
  end
elseif claim == "" or not call("ZSCORE", CLAIMS, claim) then
  return "NO_SUCH_CLAIM"
elseif holder == "" then
  return "NOT_CLAIMED"
elseif holder ~= claim then
  return "OTHER_CLAIM"
end
remove({ sequence }, "deleted", nil, weight(sequence, size))
close_head()
return "DONE"
