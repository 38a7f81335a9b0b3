"""Where proven bytes and trusted names live on disk."""
