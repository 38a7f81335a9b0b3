"""The version, baked in: reading the distribution's metadata would cost 40 ms at each start."""

__version__ = "0.1.0"
