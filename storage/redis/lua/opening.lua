-- How every operation begins, behind common.lua: it finds the queue and its time, and does what has come due.

local KNOWN = 4 -- timelines that a queue keeps

local fenced = false -- whether the queue is about to leave, and the operation has to wait

-- The queue moves to another pool. Its times are those of the server's own clock.
local function heed_move(move, time)
  local token, lease, fence = unpack_move(move)
  if time < fence then
    fenced = true
  elseif time < lease then
    noting = true
    if fence > 0 then -- what is done from now on must keep it from leaving, even if the clock goes back
      call("HSET", HEAD, "move", pack_move(token, lease, 0))
    end
  else -- whoever moved it has gone
    call("HDEL", HEAD, "move")
    call("UNLINK", NOTED, TAKEN)
  end
end

-- Heed the server's timeline. One that the queue has not met begins here: its server took over or was started again, and
-- may have lost writes. One that it has left is of a connection that was there before. Each is kept with what was visible
-- when it began.
local function heed_timeline(server)
  if server == "" or server == timeline() then
    return
  end
  for i = 1, #timelines, 15 do
    if string.sub(timelines, i, i + 7) == server then
      return
    end
  end
  timelines = string.sub(timelines .. server .. pack_number(visible), -15 * KNOWN)
  call("HSET", HEAD, "timelines", timelines)
end

-- False where the queue's incarnation is not here.
local function open_head()
  local server = table.remove(ARGV)
  local head = call("HMGET", HEAD, "last", "visible", "wake", "move", "timelines", "bytes", "counted")
  if not head[1] then
    return false
  end
  last, visible, wake = tonumber(head[1]), tonumber(head[2]), tonumber(head[3])
  timelines = head[5] or ""
  heed_timeline(server)
  local time = call("TIME")
  time = time[1] * 1000000 + time[2]
  now = math.max(time + tonumber(ARGV[1]), last)
  if head[4] then
    heed_move(head[4], time)
  end
  bytes, counted = tonumber(head[6]), tonumber(head[7] or 0)
  if not bytes then -- made before there was such a count: what is here is not in it
    bytes, counted = 0, last
    call("HSET", HEAD, "bytes", bytes, "counted", counted)
  end
  return true
end

-- Do what has come due, at most BUDGET records of it: claims end, messages expire, delays end, subscriptions
-- expire. Returns false if more may be due. O(due * log n).
local function settle()
  if now < wake then
    return true
  end
  changed = true
  local budget = BUDGET
  for _, claim in ipairs(call("ZRANGEBYSCORE", CLAIMS, "-inf", now, "LIMIT", 0, budget)) do
    if budget < 2 then
      return false
    end
    local freed, ended = release(claim, budget - 1)
    budget = budget - freed - 1
    if not ended then
      return false
    end
  end

  if budget < 1 then
    return false
  end
  local expired = call("ZRANGEBYSCORE", EXPIRY, "-inf", now, "LIMIT", 0, budget)
  remove(expired, "expired")
  budget = budget - #expired

  if budget < 1 then
    return false
  end
  local ended = call("ZRANGEBYSCORE", DUE, "-inf", now, "LIMIT", 0, budget)
  if #ended > 0 then
    local before, places, positions, numbers = visible, {}, {}, {}
    for i, sequence in ipairs(ended) do
      visible = draw()
      places[#places + 1] = visible
      places[#places + 1] = sequence
      positions[i] = visible
      numbers[i] = unpack_number(sequence)
    end
    note("m", ended)
    call("ZADD", FREE, unpack(places))
    call("ZREM", DELAYED, unpack(ended))
    call("ZREM", DUE, unpack(ended))
    announce(before, positions, numbers, call("HMGET", MESSAGES, unpack(ended)))
    budget = budget - #ended
  end

  if budget < 1 then
    return false
  end
  local lapsed = call("ZRANGEBYSCORE", SUBSCRIPTION_EXPIRY, "-inf", now, "LIMIT", 0, budget)
  for _, sequence in ipairs(lapsed) do
    drop_subscription(sequence, cmsgpack.unpack(call("HGET", SUBSCRIPTIONS, sequence))[1], "expired")
  end
  if #lapsed == budget then
    return false
  end

  -- What is left of these waits: a post does not look at those whose time is over.
  local firsts, firsts_expiry = firsts_keys()
  local forgotten = call("ZRANGEBYSCORE", firsts_expiry, "-inf", now, "LIMIT", 0, budget - #lapsed)
  if #forgotten > 0 then
    note("f", forgotten)
    call("HDEL", firsts, unpack(forgotten))
    call("ZREM", firsts_expiry, unpack(forgotten))
  end

  wake = math.min(first_score(CLAIMS), first_score(EXPIRY), first_score(DUE), first_score(SUBSCRIPTION_EXPIRY))
  wake = math.min(wake, first_score(firsts_expiry) + FORGET_WITHIN)
  return true
end

if not open_head() then
  return redis.error_reply("STALE the queue is not here")
end
if fenced then
  return redis.status_reply("MOVING")
end
if not settle() then
  close_head()
  return redis.status_reply("AGAIN")
end
