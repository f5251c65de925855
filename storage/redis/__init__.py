"""The message store on Redis 7 or Valkey 8 and later: one Lua script per operation."""
