-- What the scripts of a move begin with, behind common.lua. They do nothing of what has come due.
--
-- ARGV[2]  the move, 16 bytes, drawn anew by each program that goes on with it
--
-- The head of the queue where it is (its source):
--   move      pack_move: for whom changes are noted, and until when. An operation that finds this time over forgets
--             the notes: a mover that died costs the memory of a minute's changes.
--   moved     instead of all else, once the queue has left: the name of its pool; by: the move that did it
-- And where it goes (its target):
--   arriving  the move, as long as the copy is incomplete; no operation finds the queue
--   arrived   the move, once it is complete; with `move`, so that operations wait until the source lets it go
--
-- Times here are those of the server's own clock: the queue's may stand still.

local MOVE = ARGV[2]
local LEFT_BEHIND = 86400 -- seconds after which an incomplete copy goes by itself, if nobody goes on with it

local clock = call("TIME")
clock = clock[1] * 1000000 + clock[2]

local function refuse(word)
  return redis.error_reply(word .. " the move cannot go on")
end

local function all_keys()
  local keys = { other_keys() }
  for _, key in ipairs({ message_keys() }) do
    keys[#keys + 1] = key
  end
  for _, key in ipairs({ subscription_keys() }) do
    keys[#keys + 1] = key
  end
  return keys
end

-- Open the head of the source for its move, and renew the lease for so many microseconds.
-- Returns nil, or the refusal; and until when requests wait.
local function open_source(lease)
  local head = call("HMGET", HEAD, "last", "move", "visible")
  if not head[1] then
    return refuse("STALE")
  end
  if not head[2] then
    return refuse("LAPSED")
  end
  local move, _, fence = unpack_move(head[2])
  if move ~= MOVE then
    return refuse("OVERTAKEN")
  end
  call("HSET", HEAD, "move", pack_move(MOVE, clock + lease, fence))
  last, visible = tonumber(head[1]), tonumber(head[3])
  return nil, fence
end

-- An item of a copy: its kind as `note` has it, its id, then what is kept of it: nothing, or false, where it is gone.
-- import.lua writes what this reads. A further kind is added in both, and to what copy.lua reads.
local READ = {
  m = function(sequence)
    local record = call("HGET", MESSAGES, sequence)
    if not record then
      return { "m", sequence }
    end
    for set, key in pairs({ f = FREE, c = CLAIMED, d = DELAYED }) do
      local place = call("ZSCORE", key, sequence)
      if place then
        local due = call("ZSCORE", DUE, sequence)
        return { "m", sequence, record, set, place, due, call("ZSCORE", EXPIRY, sequence), call("HGET", STATES, sequence) }
      end
    end
  end,
  c = function(claim)
    return { "c", claim, call("ZSCORE", CLAIMS, claim), call("HGET", LEASES, claim) }
  end,
  s = function(sequence)
    local record, expires = call("HGET", SUBSCRIPTIONS, sequence), call("ZSCORE", SUBSCRIPTION_EXPIRY, sequence)
    return { "s", sequence, record, expires, call("HGET", (delivery_keys()), sequence) }
  end,
  o = function(origin)
    return { "o", origin, call("ZSCORE", ORIGINS, origin) }
  end,
  l = function(reason)
    return { "l", reason, call("ZSCORE", lost_key(), reason) }
  end,
  f = function(id)
    local firsts, firsts_expiry = firsts_keys()
    return { "f", id, call("ZSCORE", firsts_expiry, id), call("HGET", firsts, id) }
  end,
  p = function(what)
    return { "p", what }
  end,
}

local function read(kind, id)
  return cmsgpack.pack(READ[kind](id))
end
