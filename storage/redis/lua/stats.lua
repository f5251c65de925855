-- How many messages there are, and the two at the ends.
--
-- Returns     {now, free, claimed, delayed, sequence, place, state, record of the oldest, and of the newest}
-- Complexity  O(log n)

close_head()
local reply = { now, call("ZCARD", FREE), call("ZCARD", CLAIMED), call("ZCARD", DELAYED) }
for _, command in ipairs({ "ZRANGE", "ZREVRANGE" }) do
  local sequence, place
  for _, key in ipairs({ FREE, CLAIMED, DELAYED }) do
    local entry = call(command, key, 0, 0, "WITHSCORES")
    if entry[1] then
      local score = tonumber(entry[2])
      if not place or (command == "ZRANGE" and score < place) or (command == "ZREVRANGE" and score > place) then
        sequence, place = entry[1], score
      end
    end
  end
  if sequence then
    tell(reply, sequence, string.format("%.0f", place), call("HGET", STATES, sequence), call("HGET", MESSAGES, sequence))
  end
end
return reply
