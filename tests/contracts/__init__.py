"""One suite per port: plain classes that a test module inherits for each implementation."""
