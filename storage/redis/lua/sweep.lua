-- Do what is due, and tell what is left.
--
-- Returns     {now, when the next delay ends, dead letters in the outbox, position of the last visible message, timeline,
--             bytes, 1 if there are subscribers to deliver to, when the next claim ends}
-- Complexity  O(due * log n)

if bytes > 0 and call("EXISTS", MESSAGES) == 0 then
  bytes, resized = 0, true -- a gateway that does not count has removed some
end
close_head()
local deliveries = call("EXISTS", (delivery_keys()))
return { now, first_score(DUE), call("LLEN", OUTBOX), visible, timeline(), bytes, deliveries, first_score(CLAIMS) }
