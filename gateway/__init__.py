"""What runs: settings, command line, service, actions, sockets, push and metrics."""

__version__ = "0.1.0"
