-- All up to a position is delivered.
--
-- ARGV[2, 3]  as in delivering.lua
-- ARGV[4, 5]  the position; how many messages, since the last call
-- Returns     1, also when called again; 0 if another delivers, or the subscription has gone
-- Complexity  O(1)

local position = tonumber(ARGV[4])
local delivery = owned_delivery(position)
if delivery and advance(delivery, position) then
  delivery.delivered = delivery.delivered + ARGV[5]
  write_delivery(ARGV[3], delivery)
end
close_head()
return delivery and 1 or 0
