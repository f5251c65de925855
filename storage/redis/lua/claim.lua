-- Lease free messages from the head of the queue to a claim, or pop them.
--
-- ARGV[2]     the claim, 16 bytes; a repeated call with a live claim answers what it holds
-- ARGV[3, 4]  ttl and grace of the claim in seconds
-- ARGV[5]     how many messages at the most
-- ARGV[6]     "claim" or "pop"
-- ARGV[7..9]  max_claim_count, dead letter queue, ttl there (-1: keeps its own); absent without dead lettering
-- Returns     {now, dead letters, sequence, position, state, record, ...}
-- Complexity  O(k log n) for k messages

local claim, ttl, grace, limit, popping = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == "pop"
local max_count = tonumber(ARGV[7])
local ends = now + ttl * 1000000
local reply = { now, 0 }
local dead, taken, furthest = 0, {}, 0

if not popping and call("ZSCORE", CLAIMS, claim) then
  tell_held(reply, claim)
  close_head()
  return reply
end

-- A message that would expire before the claim lives on until the claim's grace is over. Clients see whole
-- seconds: a ttl that is short by less than one is shown as it was.
local function extend(sequence, shown)
  local expires = tonumber(call("ZSCORE", EXPIRY, sequence))
  if expires >= ends then
    return shown
  end
  call("ZADD", EXPIRY, ends + grace * 1000000, sequence)
  return ends - expires >= 1000000 and ttl + grace or shown
end

while #taken < limit and dead < BUDGET do
  local heads = call("ZRANGE", FREE, 0, limit - #taken - 1, "WITHSCORES")
  if #heads == 0 then
    break
  end
  for i = 1, #heads, 2 do
    local sequence, position = heads[i], heads[i + 1]
    local count, shown = read_state(call("HGET", STATES, sequence))
    local record = call("HGET", MESSAGES, sequence)
    if max_count and count >= max_count then
      local expires = call("ZSCORE", EXPIRY, sequence)
      call("RPUSH", OUTBOX, cmsgpack.pack({ ARGV[8], tonumber(ARGV[9]), sequence, expires, record }))
      remove({ sequence }, "deleted")
      dead = dead + 1
    else
      taken[#taken + 1] = sequence
      call("ZREM", FREE, sequence)
      furthest = tonumber(position)
      if popping then
        tell(reply, sequence, position, pack_state(count + 1, shown, claim), record)
      else
        local state = pack_state(count + 1, extend(sequence, shown), claim)
        call("ZADD", CLAIMED, position, sequence)
        call("ZADD", HELD, 0, claim .. sequence)
        call("HSET", STATES, sequence, state)
        tell(reply, sequence, position, state, record)
      end
    end
  end
end

if popping then
  remove(taken, "deleted", furthest)
elseif #taken > 0 then
  note("m", taken)
  note("c", { claim })
  call("ZADD", CLAIMS, ends, claim)
  call("HSET", LEASES, claim, struct.pack(">I7I4I4", now, ttl, grace))
  hold_time()
  wake_at(ends)
end
close_head()
reply[2] = dead
return reply
