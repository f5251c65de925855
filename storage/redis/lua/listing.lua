-- What the scripts that tell pages of messages have in common, behind opening.lua.

-- Tell up to `limit` messages whose place in one of the `keys` is behind `after`, in the order of their places, but none of
-- this client (16 bytes; empty: of all). At most `bound` are looked at.
-- Returns how many are told, the last place looked at, and whether there may be more to look at.
local function list_page(reply, keys, after, limit, client, bound)
  local BYTES = 1048576 -- records that one script reads, in bytes: about; a page that is larger goes on in the next
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
  return found, after, more
end
