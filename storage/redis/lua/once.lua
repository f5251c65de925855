-- What stands before post.lua if messages have dedup_ids: it leaves only those to it that nobody has posted yet.
--
-- ARGV[2]            microseconds for which a dedup_id is remembered
-- ARGV[3..]          per message: ttl in seconds, delay in seconds, record, dedup_id (empty: none)
-- Returns            the sequence of each message: for a dedup_id that is remembered, that of the one that had it first
-- Complexity         O(k log n) for k messages

do
  local firsts, firsts_expiry = firsts_keys()
  local window = tonumber(ARGV[2])
  local old = call("ZRANGEBYSCORE", firsts_expiry, "-inf", now, "LIMIT", 0, BUDGET)
  if #old > 0 then
    note("f", old)
    call("HDEL", firsts, unpack(old))
    call("ZREM", firsts_expiry, unpack(old))
  end

  local answer, left = {}, { ARGV[1] }
  local number = math.max(last + 1, now) -- what post.lua will draw next
  for i = 3, #ARGV, 4 do
    local id = ARGV[i + 3]
    local forget_at = id ~= "" and call("ZSCORE", firsts_expiry, id)
    if forget_at and tonumber(forget_at) > now then
      answer[#answer + 1] = unpack_number(call("HGET", firsts, id))
    else
      if id ~= "" then
        note("f", { id })
        call("HSET", firsts, id, pack_number(number))
        call("ZADD", firsts_expiry, number + window, id)
        wake_at(number + window + FORGET_WITHIN)
      end
      answer[#answer + 1] = number
      number = number + 1
      for j = i, i + 2 do
        left[#left + 1] = ARGV[j]
      end
    end
  end
  if #left == 1 then
    close_head()
    return answer
  end
  for i = 1, #ARGV do
    ARGV[i] = left[i]
  end
  ARGV.answer = answer
end

