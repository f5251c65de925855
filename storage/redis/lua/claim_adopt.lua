-- Let a consumer go on with a claim, whose time begins anew, and tell what that holds.
--
-- ARGV[2]     the claim, 16 bytes; it is made if it is not there
-- ARGV[3]     the consumer, 8 bytes: from now on, nobody leases to the claim under another token
-- ARGV[4]     the token that it had up to now; nothing: it takes the claim from whoever has it
-- ARGV[5, 6]  ttl and grace in seconds
-- Returns     {a number that grows each time that the claim is taken, sequence, position, state, ...}; false if the claim is another consumer's
-- Complexity  O(k log n) for k messages

local claim, consumer, before, ttl, grace = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local has = consumer_of(claim)
if before ~= "" and has ~= "" and has ~= before and has ~= consumer then
  close_head()
  return false
end
local sequences = held_by(claim, -1)
keep_held_alive(claim, sequences, ttl, grace)
begin(claim, ttl, grace, consumer)
if before == "" then
  call("SPUBLISH", CHANNEL, cmsgpack.pack({ "taken", claim, draw() }))
end
local reply = { last }
for _, sequence in ipairs(sequences) do
  reply[#reply + 1] = sequence
  reply[#reply + 1] = call("ZSCORE", CLAIMED, sequence)
  reply[#reply + 1] = call("HGET", STATES, sequence)
end
close_head()
return reply
