-- Messages by their sequences.
--
-- ARGV[2..]   sequences as 7 bytes
-- Returns     {now, sequence, place, state, record, ...}, leaving out those that are not there
-- Complexity  O(k log n) for k messages

close_head()
local reply = { now }
for i = 2, #ARGV do
  local record = call("HGET", MESSAGES, ARGV[i])
  if record then
    tell(reply, ARGV[i], place_of(ARGV[i]), call("HGET", STATES, ARGV[i]), record)
  end
end
return reply
