"""Keeping a store healthy: the differences between what is wanted, held and sound."""
