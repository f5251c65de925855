-- What whoever has got all messages up to `place` misses, which must be one that clients were told.
-- Returns nil, or from where, up to where and why. What is lost by a failover nobody removed: the place is unknown.
local function lost_behind(place)
  local mark = call("ZREVRANGE", lost_key(), 0, 0, "WITHSCORES")
  local gone = tonumber(mark[2] or 0)
  if gone > place then
    return place, gone, mark[1]
  end
  if place == visible or place == gone or call("ZSCORE", DELAYED, pack_number(place)) then
    return nil
  end
  local known = gone
  for _, key in ipairs({ FREE, CLAIMED }) do
    local below = call("ZREVRANGEBYSCORE", key, place, "-inf", "WITHSCORES", "LIMIT", 0, 1)
    known = math.max(known, tonumber(below[2] or 0))
  end
  if known == place then
    return nil
  end
  return known, place, "failover"
end
