-- Remove all messages with their claims, all subscriptions, or both.
--
-- ARGV[2, 3]  1 to remove messages, 1 to remove subscriptions
-- Returns     1
-- Complexity  O(1): the memory is given back in the background (UNLINK)

if ARGV[2] == "1" then
  note("p", { "messages" })
  note("l", { "purged" })
  for _, key in ipairs({ FREE, CLAIMED }) do
    local position = call("ZREVRANGE", key, 0, 0, "WITHSCORES")[2]
    if position then
      call("ZADD", lost_key(), "GT", position, "purged")
    end
  end
  opened = call("SMEMBERS", FULL)
  bytes, resized = 0, true
  call("UNLINK", message_keys())
end
if ARGV[3] == "1" then
  note("p", { "subscriptions" })
  local delivered = call("EXISTS", (delivery_keys())) == 1
  call("UNLINK", subscription_keys())
  call("SPUBLISH", CHANNEL, cmsgpack.pack({ "ended", false, last, "purged" }))
  if delivered then
    tell_delivery(0)
  end
end
close_head()
return 1
