-- What the scripts that lease messages have in common, behind opening.lua.

-- Keep a message alive until a claim that begins now is over, and its grace too, if it would expire before. Clients
-- see whole seconds: a ttl that is short by less than one is shown as it was. Returns the ttl to be shown.
local function keep_alive(sequence, ttl, grace, shown)
  local ends = now + ttl * 1000000
  local expires = tonumber(call("ZSCORE", EXPIRY, sequence))
  if expires >= ends then
    return shown
  end
  call("ZADD", EXPIRY, ends + grace * 1000000, sequence)
  return ends - expires >= 1000000 and ttl + grace or shown
end

-- Begin a claim, or its time anew.
local function begin(claim, ttl, grace, consumer)
  local ends = now + ttl * 1000000
  note("c", { claim })
  call("ZADD", CLAIMS, ends, claim)
  call("HSET", LEASES, claim, pack_lease(now, ttl, grace, consumer))
  hold_time()
  wake_at(ends)
end

-- Keep alive for a claim what it holds: those of the sequences that would expire before a claim that begins now is over.
local function keep_held_alive(claim, sequences, ttl, grace)
  local ends = now + ttl * 1000000
  for from = 1, #sequences, 1000 do -- unpack has a limit
    local upto = math.min(from + 999, #sequences)
    for i, expires in ipairs(call("ZMSCORE", EXPIRY, unpack(sequences, from, upto))) do
      if tonumber(expires) < ends then
        local sequence = sequences[from + i - 1]
        local count, shown = read_state(call("HGET", STATES, sequence))
        note("m", { sequence })
        call("HSET", STATES, sequence, pack_state(count, keep_alive(sequence, ttl, grace, shown), claim))
      end
    end
  end
end

local ENCRYPTED = 8 -- the highest flag of a record, see encrypted_records.py
local ASIDE = string.rep("\0", 16) -- the claim that keeps what nobody gets now; no client is given one like it
local ASIDE_SECONDS = 30

-- Whether a record is encrypted by a key that is not among the node's: ids with a space before and behind each.
local function is_unreadable(record, ids)
  if string.byte(record) < ENCRYPTED then
    return false
  end
  local id = string.sub(record, 23, 22 + string.byte(record, 22))
  return not string.find(ids, " " .. id .. " ", 1, true)
end

-- Keep a message that the node cannot read out of the way of others, for a while: another node may have the key, and this
-- one soon. It does not count as claimed. The claim is not renewed with the next one, so it does end.
local function set_aside(sequence, position, count, shown)
  note("m", { sequence })
  if not call("ZSCORE", CLAIMS, ASIDE) then
    begin(ASIDE, ASIDE_SECONDS, 0, "")
  end
  call("ZADD", CLAIMED, position, sequence)
  call("ZADD", HELD, 0, ASIDE .. sequence)
  call("HSET", STATES, sequence, pack_state(count, shown, ASIDE))
end

-- Take up to `limit` free messages from the head of the queue. `hand_out` is called with each: sequence, position, how
-- often it was claimed before, its changed ttl, and its record. Those that were claimed too often go to the outbox
-- instead: `max_count`, `target` and `target_ttl` are max_claim_count, the dead letter queue and the ttl there (-1: they
-- keep their own), or nil. Those that the node has no key for (`ids` as above) are set aside.
-- Returns the sequences, how many went to the outbox, and how many were set aside.
local function take(limit, ids, max_count, target, target_ttl, hand_out)
  local dead, aside, taken = 0, 0, {}
  while #taken < limit and dead + aside < BUDGET do
    local heads = call("ZRANGE", FREE, 0, limit - #taken - 1, "WITHSCORES")
    if #heads == 0 then
      break
    end
    for i = 1, #heads, 2 do
      local sequence, position = heads[i], heads[i + 1]
      local count, shown = read_state(call("HGET", STATES, sequence))
      local record = call("HGET", MESSAGES, sequence)
      if max_count and count >= tonumber(max_count) then
        local expires = call("ZSCORE", EXPIRY, sequence)
        call("RPUSH", OUTBOX, cmsgpack.pack({ target, tonumber(target_ttl), sequence, expires, record }))
        remove({ sequence }, "deleted", nil, weight(sequence, #record))
        dead = dead + 1
      elseif is_unreadable(record, ids) then
        call("ZREM", FREE, sequence)
        set_aside(sequence, position, count, shown)
        aside = aside + 1
      else
        taken[#taken + 1] = sequence
        call("ZREM", FREE, sequence)
        hand_out(sequence, position, count, shown, record)
      end
    end
  end
  return taken, dead, aside
end

-- What `take` is to do with messages for a claim that begins now: they are its, and told in the reply.
local function lease_to(claim, ttl, grace, reply)
  return function(sequence, position, count, shown, record)
    local state = pack_state(count + 1, keep_alive(sequence, ttl, grace, shown), claim)
    call("ZADD", CLAIMED, position, sequence)
    call("ZADD", HELD, 0, claim .. sequence)
    call("HSET", STATES, sequence, state)
    tell(reply, sequence, position, state, record)
  end
end
