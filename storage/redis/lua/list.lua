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
local limit, client, bound = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[8])
local BYTES = 1048576 -- records that one script reads, in bytes: about; a page that is larger goes on in the next
local keys = { FREE }
if ARGV[6] == "1" then
  keys[#keys + 1] = CLAIMED
end
if ARGV[7] == "1" then
  keys[#keys + 1] = DELAYED
end
close_head()

local reply = { now, 0, ARGV[2], timeline() }
local found, seen, bytes, more = 0, 0, 0, true
while found < limit and seen < bound and bytes < BYTES and more do
  local chunk = math.min(client == "" and limit - found or 20, 20, bound - seen)
  local places = {}
  for _, key in ipairs(keys) do
    local entries = call("ZRANGEBYSCORE", key, "(" .. string.format("%.0f", after), "+inf", "WITHSCORES", "LIMIT", 0, chunk)
    for i = 1, #entries, 2 do
      places[#places + 1] = { entries[i], tonumber(entries[i + 1]), entries[i + 1] }
    end
  end
  if #keys > 1 then
    table.sort(places, function(one, other)
      return one[2] < other[2]
    end)
  end
  more = #places >= chunk
  local sequences = {}
  for i = 1, math.min(chunk, #places) do
    sequences[i] = places[i][1]
  end
  if #sequences > 0 then
    local records = call("HMGET", MESSAGES, unpack(sequences))
    local states = call("HMGET", STATES, unpack(sequences))
    for i, sequence in ipairs(sequences) do
      after, seen, bytes = places[i][2], seen + 1, bytes + #records[i]
      if client == "" or string.sub(records[i], 6, 21) ~= client then
        tell(reply, sequence, places[i][3], states[i], records[i])
        found = found + 1
        if found == limit then
          break
        end
      end
    end
  end
end
reply[2] = (more and found < limit) and 1 or 0
reply[3] = string.format("%.0f", after)
return reply
