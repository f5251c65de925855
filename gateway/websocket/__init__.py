"""WebSocket connections: Autobahn below, one lane of requests per socket above."""
