"""What a request says: its address and its header fields, as values. Pure."""
