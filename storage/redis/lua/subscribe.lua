-- Add a subscription.
--
-- ARGV[2]     subscriber
-- ARGV[3]     seconds it lives
-- ARGV[4]     record: MessagePack array that begins with the subscriber, and that no other call has
-- ARGV[5, 6]  what it has got already: all up to a place, and 1 if that is a message's sequence rather than a place;
--             empty: all that there is
-- ARGV[7]     1 if it is no socket: what is posted from now on is to be delivered
-- Returns     false if the subscriber has another; {its sequence, also when called again, the timeline, the place that it
--             goes on behind}, and if it misses something: up to where, and why
-- Complexity  O(log s) for s subscriptions

-- It resumes from that place, or where messages are lost from the last one that is known.
local function answer(number)
  if ARGV[5] == "" then
    return { number, timeline(), visible }
  end
  local place = tonumber(ARGV[5])
  if ARGV[6] == "1" then
    place = tonumber(place_of(pack_number(place)) or place)
  end
  local from, to, reason = lost_behind(place)
  if from then
    return { number, timeline(), from, to, reason }
  end
  return { number, timeline(), place }
end

local function deliver_to(sequence)
  if ARGV[7] == "1" then
    begin_delivery(sequence)
    tell_delivery(unpack_number(sequence))
  end
end

local known = call("HGET", SUBSCRIBERS, ARGV[2])
if known then
  if call("HEXISTS", DELIVERIES, known) == 0 then -- a version that does not deliver has made it
    deliver_to(known)
  end
  close_head()
  return call("HGET", SUBSCRIPTIONS, known) == ARGV[4] and answer(unpack_number(known))
end
local number = draw()
local sequence, expires = pack_number(number), number + ARGV[3] * 1000000
note("s", { sequence })
call("HSET", SUBSCRIPTIONS, sequence, ARGV[4])
call("HSET", SUBSCRIBERS, ARGV[2], sequence)
call("ZADD", SUBSCRIPTION_ORDER, number, sequence)
call("ZADD", SUBSCRIPTION_EXPIRY, expires, sequence)
wake_at(expires)
deliver_to(sequence)
close_head()
return answer(number)
