-- Take changes that were noted, as they stand now. What was taken and not acknowledged is taken again.
--
-- ARGV[3]     lease, as in begin.lua
-- ARGV[4, 5]  how many at the most, and how many bytes, about
-- Returns     {how many are left, items...}
-- Complexity  O(k) for k items

local refused = open_source(ARGV[3])
if refused then
  return refused
end
for _, each in ipairs(call("SMEMBERS", TAKEN)) do
  call("SMOVE", TAKEN, NOTED, each)
end
local limit, bytes = tonumber(ARGV[4]), tonumber(ARGV[5])
local items, size = {}, 0
local function take(each)
  if size < bytes and call("SMOVE", NOTED, TAKEN, each) == 1 then
    items[#items + 1] = read(string.sub(each, 1, 1), string.sub(each, 2))
    size = size + #items[#items]
  end
end
-- First, or it would take with it what came after the purge and was copied before.
take("pmessages")
take("psubscriptions")
for _, each in ipairs(call("SRANDMEMBER", NOTED, limit)) do
  take(each)
end
return { call("SCARD", NOTED), unpack(items) }
