"""Commands that work with queues over the network, on the Python client."""
