"""The documents are tests: what they name exists, and what they show runs."""
