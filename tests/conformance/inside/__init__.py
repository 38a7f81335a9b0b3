"""Scripts that run inside the clients' environments. Each prints one JSON object as its last line."""
