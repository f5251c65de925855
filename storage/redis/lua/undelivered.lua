-- Messages that come next for a subscription. What had left the queue before they were read is counted.
--
-- ARGV[2, 3]  as in delivering.lua
-- ARGV[4]     begin behind this position
-- ARGV[5]     how many messages at the most
-- Returns     false if another delivers, or the subscription has gone; {now, the last position looked at, position of the
--             last message that is missed, or 0, and why, sequence, position, state, record, ...}
-- Complexity  O(log n + k) for k messages

local after = tonumber(ARGV[4])
local delivery = owned_delivery(after)
if not delivery then
  close_head()
  return false
end
local mark = call("ZREVRANGE", lost_key(), 0, 0, "WITHSCORES")
local gone, reason = tonumber(mark[2] or 0), mark[1]
if gone > math.max(after, delivery.counted) then
  delivery.missed, delivery.counted = delivery.missed + 1, gone
  write_delivery(ARGV[3], delivery)
else
  gone, reason = 0, ""
end
close_head()
local reply = { now, 0, gone, reason }
local _, reached = list_page(reply, { FREE, CLAIMED }, after, tonumber(ARGV[5]), "", tonumber(ARGV[5]))
reply[2] = string.format("%.0f", reached)
return reply
