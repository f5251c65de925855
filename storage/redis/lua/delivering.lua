-- What the scripts have in common that deliver to subscribers which are not sockets, behind opening.lua.
--
-- A delivery: position up to which all is delivered or given up (7 bytes), attempts for the next message (4), when that
-- is due (7; 0: at once), counts of messages delivered (7) and failed (7), how often some were missed (7), up to which
-- position that is counted (7), and the last error.
--
-- The head's `owner`: token of who delivers (8 bytes), and the timeline on which it began.
--
-- ARGV[2, 3]  of who delivers: its token; the sequence of the subscription that it delivers to, as 7 bytes

local DELIVERIES, DELIVERY_ORDER = delivery_keys()
local DELIVERY = ">I7I4I7I7I7I7I7"

local function is_owner()
  return call("HGET", HEAD, "owner") == ARGV[2] .. timeline()
end

local function write_delivery(sequence, delivery)
  note("s", { sequence })
  local packed = struct.pack(
    DELIVERY,
    delivery.position,
    delivery.attempts,
    delivery.due,
    delivery.delivered,
    delivery.failed,
    delivery.missed,
    delivery.counted
  )
  call("HSET", DELIVERIES, sequence, packed .. delivery.error)
end

local function read_delivery(sequence)
  local packed = call("HGET", DELIVERIES, sequence)
  if not packed then
    return nil
  end
  local position, attempts, due, delivered, failed, missed, counted, at = struct.unpack(DELIVERY, packed)
  return {
    position = position,
    attempts = attempts,
    due = due,
    delivered = delivered,
    failed = failed,
    missed = missed,
    counted = counted,
    error = string.sub(packed, at),
  }
end

-- Deliver to a subscription what is posted from now on.
local function begin_delivery(sequence)
  call("ZADD", DELIVERY_ORDER, unpack_number(sequence), sequence)
  write_delivery(
    sequence,
    { position = visible, attempts = 0, due = 0, delivered = 0, failed = 0, missed = 0, counted = 0, error = "" }
  )
end

-- The delivery that a call is about, if who calls delivers still, and the subscription is there. A version that does not
-- deliver removes that alone. `position`: what the owner has seen; one that was never visible here was lost.
local function owned_delivery(position)
  if not is_owner() or position > visible or call("HEXISTS", SUBSCRIPTIONS, ARGV[3]) == 0 then
    return nil
  end
  return read_delivery(ARGV[3])
end

-- All up to a position is delivered, or given up. False: that is known.
local function advance(delivery, position)
  if position <= delivery.position then
    return false
  end
  delivery.position, delivery.attempts, delivery.due = position, 0, 0
  return true
end
