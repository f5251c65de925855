-- Store a dead letter that comes from another queue; once, however often it is sent.
--
-- ARGV[2]     where it comes from: the 16 bytes of its old id
-- ARGV[3]     seconds it lives, or -1; ARGV[4] when it would have expired, counts if that is -1
-- ARGV[5]     record
-- Returns     1, or 0 if it is here already, or has been
-- Complexity  O(log n)

local REMEMBER = 1209600 * 1000000 -- as long as a message can live: its sender may try again as long
for _, origin in ipairs(call("ZRANGEBYSCORE", ORIGINS, "-inf", now, "LIMIT", 0, 100)) do
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
call("ZADD", ORIGINS, now + REMEMBER, ARGV[2])
if expires > now then
  visible = number
  call("HSET", MESSAGES, sequence, ARGV[5])
  call("ZADD", FREE, number, sequence)
  call("ZADD", EXPIRY, expires, sequence)
  wake_at(expires)
  announce(before, { number }, { number }, { ARGV[5] })
end
close_head()
return 1
