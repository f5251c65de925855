-- Read dead letters that are on their way. Under the fence: they are not noted.
--
-- ARGV[3]     lease, as in begin.lua
-- ARGV[4]     how many to pass over
-- ARGV[5, 6]  how many at the most, and how many bytes, about
-- Returns     {items...}; none: that was all
-- Complexity  O(k) for k items behind the first

local refused = open_source(ARGV[3])
if refused then
  return refused
end
local from, bytes = tonumber(ARGV[4]), tonumber(ARGV[6])
local items, size = {}, 0
for i, entry in ipairs(call("LRANGE", OUTBOX, from, from + ARGV[5] - 1)) do
  if size >= bytes then
    break
  end
  items[i] = cmsgpack.pack({ "d", from + i - 1, entry })
  size = size + #items[i]
end
return items
