-- Do what is due, and tell what is left.
--
-- Returns     {now, when the next delay ends, dead letters in the outbox, position of the last visible message, timeline}
-- Complexity  O(due * log n)

close_head()
return { now, first_score(DUE), call("LLEN", OUTBOX), visible, timeline() }
