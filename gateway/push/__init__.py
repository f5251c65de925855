"""Live push: which sockets of this node are subscribed, and how each gets every message, in order."""
