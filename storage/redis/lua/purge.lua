-- Remove all messages with their claims, all subscriptions, or both.
--
-- ARGV[2, 3]  1 to remove messages, 1 to remove subscriptions
-- Returns     1
-- Complexity  O(1): the memory is given back in the background (UNLINK)

if ARGV[2] == "1" then
  call("UNLINK", MESSAGES, FREE, CLAIMED, DELAYED, DUE, EXPIRY, STATES, CLAIMS, LEASES, HELD)
end
if ARGV[3] == "1" then
  call("UNLINK", SUBSCRIPTIONS, SUBSCRIBERS, SUBSCRIPTION_ORDER, SUBSCRIPTION_EXPIRY)
  call("SPUBLISH", CHANNEL, cmsgpack.pack({ "ended", false, last }))
end
close_head()
return 1
