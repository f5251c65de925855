-- Let others take queues.
--
-- ARGV[2]     who has leased them, 8 bytes
-- ARGV[3..]   the queues
-- Returns     1
-- Complexity  O(k log n) for k queues

for i = 3, #ARGV do
  local generation, owner = read_terms(ARGV[i])
  if owner == ARGV[2] then
    write_terms(ARGV[i], 0, generation, "")
  end
end
return 1
