-- Lease free messages from the head of the queue to a claim, or pop them.
--
-- ARGV[2]     the claim, 16 bytes; a repeated call with a live claim answers what it holds
-- ARGV[3, 4]  ttl and grace of the claim in seconds
-- ARGV[5]     how many messages at the most
-- ARGV[6]     "claim" or "pop"
-- ARGV[7]     ids of the keys that the node has, as in leasing.lua
-- ARGV[8..10] max_claim_count, dead letter queue, ttl there (-1: keeps its own); absent without dead lettering
-- Returns     {now, dead letters, messages that the node cannot read, sequence, position, state, record, ...}
-- Complexity  O(k log n) for k messages

local claim, ttl, grace, limit, popping = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == "pop"
local reply = { now, 0, 0 }
local furthest, size = 0, 0

if not popping and call("ZSCORE", CLAIMS, claim) then
  tell_held(reply, claim)
  close_head()
  return reply
end

local function pop(sequence, position, count, shown, record)
  furthest, size = tonumber(position), size + weight(sequence, #record)
  tell(reply, sequence, position, pack_state(count + 1, shown, claim), record)
end

local hand_out = popping and pop or lease_to(claim, ttl, grace, reply)
local taken, dead, aside = take(limit, ARGV[7], ARGV[8], ARGV[9], ARGV[10], hand_out)
if popping then
  remove(taken, "deleted", furthest, size)
elseif #taken > 0 then
  note("m", taken)
  begin(claim, ttl, grace, "")
end
close_head()
reply[2], reply[3] = dead, aside
return reply
