-- One page of messages in the order of their places.
--
-- ARGV[2, 3]  where to begin: a number, and 1 if it is a message's sequence rather than a place
-- ARGV[4]     how many messages at the most
-- ARGV[5]     16 bytes: leave out the messages of this client; empty: of none
-- ARGV[6, 7]  1 to include claimed messages, 1 to include delayed ones
-- ARGV[8]     how many messages to look at, at the most
-- Returns     {now, 1 if there may be more to look at, the last place looked at, timeline, sequence, place,
--             state, record, ...}
-- Complexity  O(log n + messages looked at)

local after = tonumber(ARGV[2])
if ARGV[3] == "1" then
  after = tonumber(place_of(pack_number(after)) or after)
end
local limit = tonumber(ARGV[4])
local keys = { FREE }
if ARGV[6] == "1" then
  keys[#keys + 1] = CLAIMED
end
if ARGV[7] == "1" then
  keys[#keys + 1] = DELAYED
end
close_head()

local reply = { now, 0, ARGV[2], timeline() }
local found, reached, more = list_page(reply, keys, after, limit, ARGV[5], tonumber(ARGV[8]))
reply[2] = (more and found < limit) and 1 or 0
reply[3] = string.format("%.0f", reached)
return reply
