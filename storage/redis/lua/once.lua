-- What stands before post.lua if messages have dedup_ids: it leaves only those to it that nobody has posted yet.
--
-- ARGV[2, 3]         as in room.lua
-- ARGV[4]            microseconds for which a dedup_id is remembered
-- ARGV[5..]          per message: ttl in seconds, delay in seconds, record, dedup_id (empty: none)
-- Returns            the sequence of each message: for a dedup_id that is remembered, that of the one that had it first
-- Complexity         O(k log n) for k messages

do
  local firsts, firsts_expiry = firsts_keys()
  local window = tonumber(ARGV[4])
  local old = call("ZRANGEBYSCORE", firsts_expiry, "-inf", now, "LIMIT", 0, BUDGET)
  if #old > 0 then
    note("f", old)
    call("HDEL", firsts, unpack(old))
    call("ZREM", firsts_expiry, unpack(old))
  end

  local answer, left, ids, size = {}, { ARGV[1], ARGV[2], ARGV[3] }, {}, 0
  local number = math.max(last + 1, now) -- what post.lua will draw next
  for i = 5, #ARGV, 4 do
    local id = ARGV[i + 3]
    local forget_at = id ~= "" and not ids[id] and call("ZSCORE", firsts_expiry, id)
    if ids[id] then
      answer[#answer + 1] = ids[id]
    elseif forget_at and tonumber(forget_at) > now then
      answer[#answer + 1] = unpack_number(call("HGET", firsts, id))
    else
      if id ~= "" then
        ids[id] = number
      end
      answer[#answer + 1] = number
      number = number + 1
      size = size + #ARGV[i + 2]
      for j = i, i + 2 do
        left[#left + 1] = ARGV[j]
      end
    end
  end
  if #left == 3 then
    close_head()
    return answer
  end
  local refusal = lacks_room((#left - 3) / 3, size)
  if refusal then
    close_head()
    return refusal
  end
  for id, first in pairs(ids) do
    note("f", { id })
    call("HSET", firsts, id, pack_number(first))
    call("ZADD", firsts_expiry, first + window, id)
    wake_at(first + window + FORGET_WITHIN)
  end
  for i = 1, #ARGV do
    ARGV[i] = left[i]
  end
  ARGV.answer = answer
end

