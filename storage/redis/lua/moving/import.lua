-- Put items of the queue where it goes, in place of what is there of them. The same again changes nothing.
--
-- ARGV[3..]   items, as copy.lua, take.lua and outbox.lua tell them
-- Returns     1
-- Complexity  O(k log n) for k items

if call("HGET", HEAD, "arriving") ~= MOVE then
  return refuse("OVERTAKEN")
end

local WRITE = {
  m = function(sequence, record, set, place, due, expires, state)
    if call("HEXISTS", MESSAGES, sequence) == 1 then
      remove({ sequence })
    end
    if not record then
      return
    end
    call("HSET", MESSAGES, sequence, record)
    call("ZADD", ({ f = FREE, c = CLAIMED, d = DELAYED })[set], place, sequence)
    call("ZADD", EXPIRY, expires, sequence)
    if due then
      call("ZADD", DUE, due, sequence)
    end
    if state then
      call("HSET", STATES, sequence, state)
      local _, _, claim = read_state(state)
      if claim ~= "" then
        call("ZADD", HELD, 0, claim .. sequence)
      end
    end
  end,
  c = function(claim, ends, lease)
    if ends then
      call("ZADD", CLAIMS, ends, claim)
      call("HSET", LEASES, claim, lease)
    else
      call("ZREM", CLAIMS, claim)
      call("HDEL", LEASES, claim)
    end
  end,
  s = function(sequence, record, expires, delivery)
    local known = call("HGET", SUBSCRIPTIONS, sequence)
    local subscriber = known and cmsgpack.unpack(known)[1]
    if known and call("HGET", SUBSCRIBERS, subscriber) == sequence then -- else another has it by now
      call("HDEL", SUBSCRIBERS, subscriber)
    end
    if record then
      call("HSET", SUBSCRIPTIONS, sequence, record)
      call("HSET", SUBSCRIBERS, cmsgpack.unpack(record)[1], sequence)
      call("ZADD", SUBSCRIPTION_ORDER, unpack_number(sequence), sequence)
      call("ZADD", SUBSCRIPTION_EXPIRY, expires, sequence)
    else
      call("HDEL", SUBSCRIPTIONS, sequence)
      call("ZREM", SUBSCRIPTION_ORDER, sequence)
      call("ZREM", SUBSCRIPTION_EXPIRY, sequence)
    end
    if record and delivery then
      local deliveries, order = delivery_keys()
      call("HSET", deliveries, sequence, delivery)
      call("ZADD", order, unpack_number(sequence), sequence)
    else
      forget_delivery(sequence)
    end
  end,
  o = function(origin, forgotten_at)
    if forgotten_at then
      call("ZADD", ORIGINS, forgotten_at, origin)
    else
      call("ZREM", ORIGINS, origin)
    end
  end,
  l = function(reason, position)
    if position then
      call("ZADD", lost_key(), "GT", position, reason)
    end
  end,
  f = function(id, forgotten_at, sequence)
    local firsts, firsts_expiry = firsts_keys()
    if forgotten_at then
      call("ZADD", firsts_expiry, forgotten_at, id)
      call("HSET", firsts, id, sequence)
    else
      call("ZREM", firsts_expiry, id)
      call("HDEL", firsts, id)
    end
  end,
  p = function(what)
    if what == "messages" then
      call("UNLINK", message_keys())
    else
      call("UNLINK", subscription_keys())
    end
  end,
  d = function(index, entry)
    if index == 0 then
      call("UNLINK", OUTBOX)
    else
      call("LTRIM", OUTBOX, 0, index - 1) -- what an earlier try has put there
    end
    call("RPUSH", OUTBOX, entry)
  end,
}

for i = 3, #ARGV do
  local item = cmsgpack.unpack(ARGV[i])
  WRITE[item[1]](unpack(item, 2))
end
for _, key in ipairs(all_keys()) do
  call("EXPIRE", key, LEFT_BEHIND)
end
return 1
