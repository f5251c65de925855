"""The wire without I/O: codecs, envelope, action registry, checks and identifiers."""
