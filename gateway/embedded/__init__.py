"""The store that `zaqar-gateway serve` runs itself: a private Valkey in the data folder, and its lock."""
