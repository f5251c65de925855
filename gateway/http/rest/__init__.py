"""Zaqar's REST API, version 2 (protocol.md section 8): each request becomes one of the WebSocket's."""
