"""What is wrong, and what to do: each check in a world broken by hand."""
