-- Where the queue's timeline parted from that of whoever stands at `place`: what was visible when the one after `on` began.
-- Where nobody knows that: the last one that began before the place, and went on from another. Nil: the place is before it.
local function parted_at(place, on)
  local parted
  for i = 1, #timelines, 15 do
    local began = unpack_number(string.sub(timelines, i + 8, i + 14))
    if on and string.sub(timelines, i, i + 7) == on then
      local after = string.sub(timelines, i + 23, i + 29)
      parted = #after == 7 and unpack_number(after) or nil
      break
    end
    if on or (i > 1 and began < place) then
      parted = began
    end
  end
  return parted and parted < place and parted or nil
end

-- What whoever has got all messages up to `place` misses, which must be one that clients were told.
-- `on`: the timeline that it was told on; nil where nobody knows.
-- Returns nil, or from where, up to where and why.
local function lost_behind(place, on)
  on = timelines ~= "" and on or nil
  local parted = parted_at(place, on)
  if parted and on then
    return parted, place, "failover"
  end
  local mark = call("ZREVRANGE", lost_key(), 0, 0, "WITHSCORES")
  local gone = tonumber(mark[2] or 0)
  if gone > place then
    return place, gone, mark[1]
  end
  if on or place == visible or place == gone or call("ZSCORE", DELAYED, pack_number(place)) then
    return nil
  end
  -- What is lost by a failover nobody removed: the place is unknown.
  local known = gone
  for _, key in ipairs({ FREE, CLAIMED }) do
    local below = call("ZREVRANGEBYSCORE", key, place, "-inf", "WITHSCORES", "LIMIT", 0, 1)
    known = math.max(known, tonumber(below[2] or 0))
  end
  if known == place then
    return nil
  end
  return parted or known, place, "failover"
end
