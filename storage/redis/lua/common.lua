-- What every script begins with: the keys of a queue, its numbers, and what is done in more than one script.
--
-- KEYS[1]  {incarnation}:head. All other keys of the queue share its hash tag.
-- ARGV[1]  microseconds to add to the server's clock (0 but in tests)
--          Behind all arguments of a script that begins with opening.lua: the server's timeline (timeline.py), 8 bytes;
--          empty if it is not known
--
-- Numbers are doubles, exact up to 2^53. Positions, sequences and times in microseconds stay below that;
-- redis.call writes them out in full, string concatenation would not.
--
-- head (hash)          last: the newest number drawn; visible: the newest position; wake: nothing comes due before;
--                      timelines: the last few that the queue was on, see opening.lua;
--                      bytes: size of the records, of messages with a sequence above counted (where that is missing: of
--                      all); owner of the deliveries (delivering.lua);
--                      removed, or moved: the pool where the queue is now; more while it moves (moving/common.lua)
-- messages (hash)      sequence -> record; free, claimed (zset) sequence by position
-- delayed, due (zset)  sequence by itself, and by the time its delay ends
-- expiry (zset)        sequence by the time it expires
-- states (hash)        sequence -> count of claims, ttl if a claim changed it, claim that holds it
-- claims (zset)        claim by the time it ends; leases (hash) claim -> start, ttl, grace, consumer
-- held (zset)          claim .. sequence, all with score 0: what a claim holds
-- full (set)           claims that hold as much as their consumer takes, so that it is told when they hold less
-- outbox (list)        dead letters on their way; origins (zset) dead letters that arrived, by when to forget
-- subscriptions (hash) sequence -> record; subscribers (hash) subscriber -> sequence
-- subscription_order, subscription_expiry (zset)
-- deliveries (hash)    sequence of a subscription that is delivered to -> how far that is (delivering.lua)
-- delivery_order (zset) these by themselves
-- lost (zset)          reason (expired, deleted, purged) by the highest position that a message left for it
-- firsts (hash)        dedup_id -> sequence of the message that had it first; firsts_expiry (zset) by when to forget it
-- noted, taken (set)   while the queue moves to another pool: what has changed (moving/common.lua)
--
-- A sequence stands in the keys as 7 bytes, most significant first; a claim as 16.

local HEAD = KEYS[1]
local PREFIX = string.sub(HEAD, 1, -5)
local MESSAGES, FREE, CLAIMED = PREFIX .. "messages", PREFIX .. "free", PREFIX .. "claimed"
local DELAYED, DUE, EXPIRY = PREFIX .. "delayed", PREFIX .. "due", PREFIX .. "expiry"
local STATES, CLAIMS, LEASES, HELD = PREFIX .. "states", PREFIX .. "claims", PREFIX .. "leases", PREFIX .. "held"
local FULL = PREFIX .. "full"
local OUTBOX, ORIGINS, CHANNEL = PREFIX .. "outbox", PREFIX .. "origins", PREFIX .. "events"
local SUBSCRIPTIONS, SUBSCRIBERS = PREFIX .. "subscriptions", PREFIX .. "subscribers"
local SUBSCRIPTION_ORDER, SUBSCRIPTION_EXPIRY = PREFIX .. "subscription_order", PREFIX .. "subscription_expiry"
local NOTED, TAKEN = PREFIX .. "noted", PREFIX .. "taken"

-- Named where they are needed, which is not in every script.
local function lost_key()
  return PREFIX .. "lost"
end

local function firsts_keys()
  return PREFIX .. "firsts", PREFIX .. "firsts_expiry"
end

local function delivery_keys()
  return PREFIX .. "deliveries", PREFIX .. "delivery_order"
end

local function message_keys()
  return MESSAGES, FREE, CLAIMED, DELAYED, DUE, EXPIRY, STATES, CLAIMS, LEASES, HELD, FULL
end

local function subscription_keys()
  return SUBSCRIPTIONS, SUBSCRIBERS, SUBSCRIPTION_ORDER, SUBSCRIPTION_EXPIRY, delivery_keys()
end

local function other_keys()
  return HEAD, OUTBOX, ORIGINS, NOTED, TAKEN, lost_key(), firsts_keys()
end

local call = redis.call
local BUDGET = 256 -- due records that one script handles; more than that are left for the next
local ANNOUNCE_BYTES = 4096 -- messages up to this size are told with their announcement
local FORGET_WITHIN = 60000000 -- microseconds that a dedup_id may be kept too long, so that many are forgotten at once
local NEVER = 9007199254740991

local last, visible, wake, now
local timelines = "" -- as in the head
local bytes, counted -- nil for a queue on its way here: it has those of the one that it was
local changed = false -- whether the head has to be written
local resized = false -- whether that of it has to be written that says how large the queue is
local noting = false -- whether the queue moves, and what changes has to be noted
local freed = false -- whether claimed messages became free
local opened = {} -- claims that were full, and are not any more

-- Note what has changed, for a move to copy it again: messages (m), claims (c), subscriptions (s), origins of
-- dead letters (o), what is lost (l), first uses of a dedup_id (f), or all messages or subscriptions that were purged (p).
local function note(kind, ids)
  if noting then
    for _, id in ipairs(ids) do
      call("SADD", NOTED, kind .. id)
    end
  end
end

-- Give back all of the queue's memory, in the background.
local function wipe()
  call("UNLINK", other_keys())
  call("UNLINK", message_keys())
  call("UNLINK", subscription_keys())
end

-- Write the head, and tell the nodes where there is work, or room for it, again.
local function close_head()
  if changed then
    call("HSET", HEAD, "last", last, "visible", visible, "wake", wake, "bytes", bytes)
  elseif resized then
    call("HSET", HEAD, "bytes", bytes)
  end
  changed, resized = false, false
  freed = freed and call("EXISTS", FREE) == 1
  if freed or #opened > 0 then
    call("SPUBLISH", CHANNEL, cmsgpack.pack({ "free", freed, opened }))
    freed, opened = false, {}
  end
end

-- A claim holds less than before.
local function make_room(claim)
  if call("SREM", FULL, claim) == 1 then
    opened[#opened + 1] = claim
  end
end

-- The next number of the queue.
local function draw()
  last = math.max(last + 1, now)
  changed = true
  return last
end

-- The queue's time does not go back behind this moment, even if the server's clock does.
local function hold_time()
  last = math.max(last, now) -- delays that ended just now have drawn numbers beyond it
  changed = true
end

-- Something comes due at this time.
local function wake_at(time)
  if time < wake then
    wake = time
    changed = true
  end
end

local function pack_number(number)
  return struct.pack(">I7", number)
end

local function unpack_number(bytes)
  return struct.unpack(">I7", bytes)
end

-- The queue's timeline: that of its server, but for those who do not know it.
local function timeline()
  return string.sub(timelines, -15, -8)
end

-- Tell the nodes that these became visible, and what they are if that is not too much.
local function announce(before, positions, sequences, records)
  local size = 0
  for _, record in ipairs(records) do
    size = size + #record
  end
  if size > ANNOUNCE_BYTES then
    positions, sequences, records = {}, {}, {}
  end
  call("SPUBLISH", CHANNEL, cmsgpack.pack({ "new", now, before, visible, positions, sequences, records, timeline() }))
end

-- A message's state: how often it was claimed, its ttl where a claim changed it (else 0), and who holds it.
local function read_state(state)
  if not state then
    return 0, 0, ""
  end
  local count, ttl = struct.unpack(">I4I4", state)
  return count, ttl, string.sub(state, 9)
end

local function pack_state(count, ttl, claim)
  return struct.pack(">I4I4", count, ttl) .. claim
end

-- What a message with a record of this size takes of `bytes`.
local function weight(sequence, size)
  return (counted == 0 or unpack_number(sequence) > counted) and size or 0
end

-- Messages of so much weight have left; nil: it is that of these, which are about to.
local function count_off(sequences, size)
  if not bytes then
    return
  end
  if not size then
    size = 0
    for _, sequence in ipairs(sequences) do
      size = size + weight(sequence, call("HSTRLEN", MESSAGES, sequence))
    end
  end
  bytes = math.max(bytes - size, 0) -- below only if a gateway that does not count has posted some of them
  resized = true
end

-- Remove messages, whatever state they are in, each named once. At most 1,000 at a time.
-- `reason` as in `lost`; nil: they are not lost. `position`: that of the last one, of those that claim.lua took out.
-- `size`: their weight, where that is known.
local function remove(sequences, reason, position, size)
  if #sequences == 0 then
    return
  end
  note("m", sequences)
  count_off(sequences, size)
  local held, claimed, others = {}, {}, {}
  for i, state in ipairs(call("HMGET", STATES, unpack(sequences))) do
    local _, _, claim = read_state(state)
    if claim ~= "" then
      held[#held + 1] = claim .. sequences[i]
      claimed[#claimed + 1] = sequences[i]
      make_room(claim)
    else
      others[#others + 1] = sequences[i]
    end
  end
  local taken = position
  position = position or 0
  if #held > 0 then
    for _, place in ipairs(call("ZMSCORE", CLAIMED, unpack(claimed))) do
      position = math.max(position, tonumber(place))
    end
    call("ZREM", HELD, unpack(held))
    call("ZREM", CLAIMED, unpack(claimed))
  end
  if #others > 0 and not taken then
    local delayed = {}
    for i, place in ipairs(call("ZMSCORE", FREE, unpack(others))) do
      if place then
        position = math.max(position, tonumber(place))
      else
        delayed[#delayed + 1] = others[i]
      end
    end
    call("ZREM", FREE, unpack(others))
    if #delayed > 0 then
      call("ZREM", DELAYED, unpack(delayed))
      call("ZREM", DUE, unpack(delayed))
    end
  end
  if reason and position > 0 then
    note("l", { reason })
    call("ZADD", lost_key(), "GT", position, reason)
  end
  call("ZREM", EXPIRY, unpack(sequences))
  call("HDEL", STATES, unpack(sequences))
  call("HDEL", MESSAGES, unpack(sequences))
end

-- What a claim holds, up to `limit` sequences.
local function held_by(claim, limit)
  local members = call("ZRANGEBYLEX", HELD, "[" .. claim, "(" .. claim .. string.rep("\255", 8), "LIMIT", 0, limit)
  for i, member in ipairs(members) do
    members[i] = string.sub(member, 17)
  end
  return members
end

-- Free messages that a claim holds, each at its old place.
local function free(claim, sequences)
  if #sequences == 0 then
    return
  end
  local places, states, members = {}, {}, {}
  local positions = call("ZMSCORE", CLAIMED, unpack(sequences))
  for i, state in ipairs(call("HMGET", STATES, unpack(sequences))) do
    local count, ttl = read_state(state)
    places[#places + 1] = positions[i]
    places[#places + 1] = sequences[i]
    states[#states + 1] = sequences[i]
    states[#states + 1] = pack_state(count, ttl, "")
    members[#members + 1] = claim .. sequences[i]
  end
  note("m", sequences)
  call("ZADD", FREE, unpack(places))
  call("ZREM", CLAIMED, unpack(sequences))
  call("HSET", STATES, unpack(states))
  call("ZREM", HELD, unpack(members))
  make_room(claim)
  freed = true
end

-- Free up to `limit` messages of a claim, and end the claim with the last of them.
-- Returns how many it freed, and whether the claim has ended.
local function release(claim, limit)
  local sequences = held_by(claim, limit)
  free(claim, sequences)
  if #sequences == limit then
    return #sequences, false
  end
  note("c", { claim })
  call("ZREM", CLAIMS, claim)
  call("HDEL", LEASES, claim)
  return #sequences, true
end

-- The consumer that a claim's messages are pushed to, 8 bytes; nothing where they are pushed to none.
local function consumer_of(claim)
  return string.sub(call("HGET", LEASES, claim) or "", 16)
end

local function pack_lease(since, ttl, grace, consumer)
  return struct.pack(">I7I4I4", since, ttl, grace) .. consumer
end

-- Tell who delivers that a subscription was made, changed or has ended: its number, or 0 for any. To an older gateway
-- this is an event that says nothing.
local function tell_delivery(number)
  call("SPUBLISH", CHANNEL, cmsgpack.pack({ "free", false, {}, number }))
end

-- Deliver no more to a subscription. False: nobody did.
local function forget_delivery(sequence)
  local deliveries, order = delivery_keys()
  call("ZREM", order, sequence)
  return call("HDEL", deliveries, sequence) == 1
end

-- `reason`: expired or deleted.
local function drop_subscription(sequence, subscriber, reason)
  note("s", { sequence })
  call("HDEL", SUBSCRIPTIONS, sequence)
  call("HDEL", SUBSCRIBERS, subscriber)
  call("ZREM", SUBSCRIPTION_ORDER, sequence)
  call("ZREM", SUBSCRIPTION_EXPIRY, sequence)
  call("SPUBLISH", CHANNEL, cmsgpack.pack({ "ended", unpack_number(sequence), 0, reason }))
  if forget_delivery(sequence) then
    tell_delivery(unpack_number(sequence))
  end
end

local function first_score(key)
  local first = call("ZRANGE", key, 0, 0, "WITHSCORES")
  return first[2] and tonumber(first[2]) or NEVER
end

-- One message for a reply: sequence, place, state, record.
local function tell(reply, sequence, place, state, record)
  reply[#reply + 1] = sequence
  reply[#reply + 1] = place
  reply[#reply + 1] = state or ""
  reply[#reply + 1] = record
end

-- A message's place: its position, or its sequence while it is delayed; false if it is gone.
local function place_of(sequence)
  return call("ZSCORE", FREE, sequence) or call("ZSCORE", CLAIMED, sequence) or call("ZSCORE", DELAYED, sequence)
end

-- All that a claim holds, in the order of positions.
local function tell_held(reply, claim)
  local places = {}
  for i, sequence in ipairs(held_by(claim, -1)) do
    places[i] = { sequence, tonumber(call("ZSCORE", CLAIMED, sequence)) }
  end
  table.sort(places, function(one, other)
    return one[2] < other[2]
  end)
  for _, place in ipairs(places) do
    local sequence = place[1]
    tell(reply, sequence, string.format("%.0f", place[2]), call("HGET", STATES, sequence), call("HGET", MESSAGES, sequence))
  end
end

-- What a move keeps in the head of the queue that it copies: whose it is (16 bytes), until when changes are noted
-- for it, and until when requests wait (0: they do not).
local function pack_move(token, lease, fence)
  return token .. struct.pack(">I7I7", lease, fence)
end

local function unpack_move(move)
  local lease, fence = struct.unpack(">I7I7", move, 17)
  return string.sub(move, 1, 16), lease, fence
end
