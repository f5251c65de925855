-- Start a claim's time anew, and keep its messages alive for it.
--
-- ARGV[2]     the claim, 16 bytes
-- ARGV[3, 4]  ttl and grace in seconds
-- Returns     1, or 0 if there is no such claim
-- Complexity  O(k log n) for k messages

local claim, ttl, grace = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if not call("ZSCORE", CLAIMS, claim) then
  close_head()
  return 0
end
local ends = now + ttl * 1000000
for _, sequence in ipairs(held_by(claim, -1)) do
  local expires = tonumber(call("ZSCORE", EXPIRY, sequence))
  if expires < ends then
    note("m", { sequence })
    call("ZADD", EXPIRY, ends + grace * 1000000, sequence)
    if ends - expires >= 1000000 then
      local count = read_state(call("HGET", STATES, sequence))
      call("HSET", STATES, sequence, pack_state(count, ttl + grace, claim))
    end
  end
end
note("c", { claim })
call("ZADD", CLAIMS, ends, claim)
call("HSET", LEASES, claim, struct.pack(">I7I4I4", now, ttl, grace))
hold_time()
wake_at(ends)
close_head()
return 1
