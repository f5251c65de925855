"""Delivery of a queue's messages to subscribers that are not sockets: webhooks and mail."""
