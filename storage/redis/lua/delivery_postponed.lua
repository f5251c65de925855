-- The next message was tried in vain, and is due again later.
--
-- ARGV[2, 3]  as in delivering.lua
-- ARGV[4]     how often it was tried
-- ARGV[5]     microseconds from now until it is due
-- ARGV[6]     error
-- Returns     1; 0 if another delivers, or the subscription has gone
-- Complexity  O(1)

local delivery = owned_delivery(0)
if delivery then
  delivery.attempts, delivery.due, delivery.error = ARGV[4], now + ARGV[5], ARGV[6]
  write_delivery(ARGV[3], delivery)
end
close_head()
return delivery and 1 or 0
