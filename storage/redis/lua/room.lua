-- What stands before scripts that post: whether there is room.
--
-- ARGV[2, 3]  how many messages the queue may hold, and bytes of their records; 0: any number

-- The refusal of so many messages that do not fit, or nil. Dead letters on their way count as messages: as long as
-- their queue cannot take them, this one must not fill another time.
local function lacks_room(count, size)
  local most_messages, most_bytes = tonumber(ARGV[2]), tonumber(ARGV[3])
  if most_messages > 0 and call("HLEN", MESSAGES) + call("LLEN", OUTBOX) + count > most_messages then
    return redis.error_reply("FULL_MESSAGES " .. ARGV[2])
  end
  if most_bytes > 0 and bytes + size > most_bytes then
    return redis.error_reply("FULL_BYTES " .. ARGV[3])
  end
end

