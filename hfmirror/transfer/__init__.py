"""What is missing, in which order to fetch it, how often to try. Knows no HTTP and no paths."""
