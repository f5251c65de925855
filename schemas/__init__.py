"""The shapes of every request, reply and event: the one place where they are written down."""
