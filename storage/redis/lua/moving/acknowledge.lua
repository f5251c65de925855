-- The changes that were taken are in the target.
--
-- ARGV[3]     lease, as in begin.lua
-- Returns     1
-- Complexity  O(1)

local refused = open_source(ARGV[3])
if refused then
  return refused
end
call("UNLINK", TAKEN)
return 1
