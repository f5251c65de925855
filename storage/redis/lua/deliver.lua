-- Store a dead letter that comes from another queue; once, however often it is sent.
--
-- ARGV[2]     where it comes from: the 16 bytes of its old id
-- ARGV[3]     seconds it lives; -1: until ARGV[4], when it would have expired, which its record then says too
-- ARGV[5]     record
-- Returns     1, or 0 if it is here already, or has been
-- Complexity  O(log n)

local REMEMBER = 1209600 * 1000000 -- as long as a message can live: its sender may try again as long
for _, origin in ipairs(call("ZRANGEBYSCORE", ORIGINS, "-inf", now, "LIMIT", 0, 100)) do
  note("o", { origin })
  call("ZREM", ORIGINS, origin)
end
if call("ZSCORE", ORIGINS, ARGV[2]) then
  close_head()
  return 0
end
local ttl = tonumber(ARGV[3])
local number, before = draw(), visible
local sequence = pack_number(number)
local expires = ttl >= 0 and number + ttl * 1000000 or tonumber(ARGV[4])
note("o", { ARGV[2] })
call("ZADD", ORIGINS, now + REMEMBER, ARGV[2])
if expires > now then
  local record = ARGV[5]
  if ttl < 0 then -- bytes 2 to 5, see records.py
    record = string.sub(record, 1, 1) .. struct.pack(">I4", math.ceil((expires - number) / 1000000)) .. string.sub(record, 6)
  end
  visible = number
  bytes = bytes + #record -- whatever the queue may hold: it is nowhere else
  note("m", { sequence })
  call("HSET", MESSAGES, sequence, record)
  call("ZADD", FREE, number, sequence)
  call("ZADD", EXPIRY, expires, sequence)
  wake_at(expires)
  announce(before, { number }, { number }, { record })
end
close_head()
return 1
