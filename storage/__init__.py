"""What is kept: the message store (redis/), the catalog (catalog/), and the way from a queue to both."""
