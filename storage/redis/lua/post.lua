-- Store messages, all or none.
--
-- ARGV[2, 3]         as in room.lua
-- ARGV[4..]          per message: ttl in seconds, delay in seconds, record
-- Returns            the sequence of the first; the others follow it without a gap. Behind once.lua what that says.
--                    FULL_MESSAGES or FULL_BYTES, and the limit, if they do not fit
-- Complexity         O(k log n) for k messages

local size = 0
for i = 6, #ARGV, 3 do
  size = size + #ARGV[i]
end
local refusal = lacks_room((#ARGV - 3) / 3, size)
if refusal then
  close_head()
  return refusal
end
bytes = bytes + size

local first
local before = visible
local stored, expiries, places, delayed, due = {}, {}, {}, {}, {}
local positions, numbers, records, names = {}, {}, {}, {}
for i = 4, #ARGV, 3 do
  local number = draw()
  first = first or number
  local sequence, delay, expires = pack_number(number), tonumber(ARGV[i + 1]), number + ARGV[i] * 1000000
  names[#names + 1] = sequence
  stored[#stored + 1] = sequence
  stored[#stored + 1] = ARGV[i + 2]
  expiries[#expiries + 1] = expires
  expiries[#expiries + 1] = sequence
  wake_at(expires)
  if delay > 0 then
    local visible_at = number + delay * 1000000
    delayed[#delayed + 1] = number
    delayed[#delayed + 1] = sequence
    due[#due + 1] = visible_at
    due[#due + 1] = sequence
    wake_at(visible_at)
  else
    visible = number
    places[#places + 1] = number
    places[#places + 1] = sequence
    positions[#positions + 1] = number
    numbers[#numbers + 1] = number
    records[#records + 1] = ARGV[i + 2]
  end
end

call("HSET", MESSAGES, unpack(stored))
note("m", names)
call("ZADD", EXPIRY, unpack(expiries))
if #places > 0 then
  call("ZADD", FREE, unpack(places))
  announce(before, positions, numbers, records)
end
if #delayed > 0 then
  call("ZADD", DELAYED, unpack(delayed))
  call("ZADD", DUE, unpack(due))
  call("SPUBLISH", CHANNEL, cmsgpack.pack({ "due", now, first_score(DUE) }))
end
close_head()
return ARGV.answer or first
