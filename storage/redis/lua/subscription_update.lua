-- Change a subscription.
--
-- ARGV[2]     sequence as 7 bytes
-- ARGV[3]     the record it must have now; ARGV[4] the record it gets: MessagePack arrays that begin with the subscriber
-- ARGV[5]     seconds it lives from now, or empty to leave that as it is
-- ARGV[6]     1 if its subscriber is no socket, and is to be delivered to if it is not yet
-- ARGV[7]     1 if it is to be delivered what is posted from now on
-- Returns     1; 0 if the new subscriber has another subscription; -1 if the record is no longer that one
-- Complexity  O(log s) for s subscriptions

local sequence = ARGV[2]
if call("HGET", SUBSCRIPTIONS, sequence) ~= ARGV[3] then
  close_head()
  return -1
end
local was, becomes = cmsgpack.unpack(ARGV[3])[1], cmsgpack.unpack(ARGV[4])[1]
if was ~= becomes then
  if call("HEXISTS", SUBSCRIBERS, becomes) == 1 then
    close_head()
    return 0
  end
  call("HDEL", SUBSCRIBERS, was)
  call("HSET", SUBSCRIBERS, becomes, sequence)
  -- Whoever was subscribed is so no longer: a socket must get nothing more.
  call("SPUBLISH", CHANNEL, cmsgpack.pack({ "ended", unpack_number(sequence), 0, "deleted" }))
end
note("s", { sequence })
call("HSET", SUBSCRIPTIONS, sequence, ARGV[4])
if ARGV[5] ~= "" then
  local expires = now + ARGV[5] * 1000000
  call("ZADD", SUBSCRIPTION_EXPIRY, expires, sequence)
  wake_at(expires)
end
local delivery = read_delivery(sequence)
if delivery then
  if ARGV[7] == "1" then
    advance(delivery, visible)
  end
  if was ~= becomes then
    delivery.attempts, delivery.due = 0, 0
  end
  write_delivery(sequence, delivery)
elseif ARGV[6] == "1" then
  begin_delivery(sequence)
end
if delivery or ARGV[6] == "1" then
  tell_delivery(unpack_number(sequence))
end
close_head()
return 1
