"""What is held, laid out as the official clients read it."""
