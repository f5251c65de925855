-- Lease more messages from the head of the queue to the claim of a consumer. The claim is made if it is not there, and
-- its time begins anew with each message that it gets.
--
-- ARGV[2]      the claim, 16 bytes
-- ARGV[3]      the consumer, 8 bytes
-- ARGV[4, 5]   ttl and grace of the claim in seconds
-- ARGV[6]      how many messages the claim may hold
-- ARGV[7]      how many messages at the most
-- ARGV[8]      among how many consumers what is free is to be divided
-- ARGV[9]      ids of the keys that the node has, as in leasing.lua
-- ARGV[10..12] max_claim_count, dead letter queue, ttl there (-1: keeps its own); absent without dead lettering
-- Returns      {now, dead letters, messages that the node cannot read, what the claim holds now, how many are free, when a
--              delay or a claim ends, sequence, position, state, record, ...}; the time only if none is free; false if the
--              claim is another consumer's
-- Complexity   O(k log n + h) for k messages and h that the claim holds

local claim, consumer, ttl, grace = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local credit = tonumber(ARGV[6])
local has = consumer_of(claim)
if has ~= "" and has ~= consumer then
  close_head()
  return false
end

local holds = call("ZLEXCOUNT", HELD, "[" .. claim, "(" .. claim .. string.rep("\255", 8))
local share = math.ceil(call("ZCARD", FREE) / ARGV[8])
local limit = math.min(ARGV[7], credit - holds, share)
local reply = { now, 0, 0, holds, 0, NEVER }
if limit > 0 then
  local before = holds > 0 and held_by(claim, -1) or {}
  local hand_out = lease_to(claim, ttl, grace, reply)
  local taken, dead, aside = take(limit, ARGV[9], ARGV[10], ARGV[11], ARGV[12], hand_out)
  if #taken > 0 then
    note("m", taken)
    keep_held_alive(claim, before, ttl, grace)
    begin(claim, ttl, grace, consumer)
  end
  holds = holds + #taken
  reply[2], reply[3], reply[4] = dead, aside, holds
end
if holds >= credit then
  call("SADD", FULL, claim)
end
reply[5] = call("ZCARD", FREE)
if reply[5] == 0 then
  reply[6] = math.min(first_score(CLAIMS), first_score(DUE))
end
close_head()
return reply
