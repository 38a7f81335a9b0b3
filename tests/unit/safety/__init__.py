"""What files would do when they are loaded."""
