"""Publish a store, and what lies behind it, over the Hub's own protocol."""
