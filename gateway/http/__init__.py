"""Plain HTTP on the gateway's port: versions, health and metrics."""
