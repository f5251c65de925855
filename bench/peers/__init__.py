"""The servers that are compared: how each is started, and how the load speaks to it."""
