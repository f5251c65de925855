-- A message is given up for one subscription.
--
-- ARGV[2, 3]  as in delivering.lua
-- ARGV[4, 5]  the message's sequence as 7 bytes; its position
-- ARGV[6]     error
-- ARGV[7, 8]  dead letter queue, ttl there (-1: keeps its own); absent without dead lettering
-- Returns     1, also when called again; 0 if another delivers, or the subscription has gone
-- Complexity  O(log n)

local position = tonumber(ARGV[5])
local delivery = owned_delivery(position)
if delivery and advance(delivery, position) then
  delivery.failed, delivery.error = delivery.failed + 1, ARGV[6]
  write_delivery(ARGV[3], delivery)
  local record = ARGV[7] and call("HGET", MESSAGES, ARGV[4])
  if record then -- the message stays; its copy is one dead letter, by whomever it is given up (deliver.lua)
    local expires = call("ZSCORE", EXPIRY, ARGV[4])
    call("RPUSH", OUTBOX, cmsgpack.pack({ ARGV[7], tonumber(ARGV[8]), ARGV[4], expires, record }))
  end
end
close_head()
return delivery and 1 or 0
