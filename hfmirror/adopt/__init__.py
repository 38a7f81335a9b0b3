"""Bytes that people bring themselves: recognised by content, proven, taken in, and shown like a pull."""
