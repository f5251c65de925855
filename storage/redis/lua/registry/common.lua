-- What the scripts begin with that say who delivers for which queue (delivery_registry.py).
--
-- KEYS[1, 2]  the queues by the time until which somebody delivers for them; their terms
-- ARGV[1]     microseconds to add to the server's clock (0 but in tests)
--
-- Terms: generation (7 bytes), then who delivers (8), if somebody does.

local QUEUES, TERMS = KEYS[1], KEYS[2]
local call = redis.call
local now = call("TIME")
now = now[1] * 1000000 + now[2] + ARGV[1]

-- Generation, and who delivers; nothing if the queue is not there.
local function read_terms(queue)
  local terms = call("HGET", TERMS, queue)
  if not terms then
    return nil
  end
  local generation = struct.unpack(">I7", terms)
  return generation, string.sub(terms, 8)
end

-- Until when somebody delivers, and who.
local function write_terms(queue, ends, generation, owner)
  call("ZADD", QUEUES, ends, queue)
  call("HSET", TERMS, queue, struct.pack(">I7", generation) .. owner)
end
