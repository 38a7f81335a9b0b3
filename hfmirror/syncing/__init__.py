"""Keeping a list of repos current: what is on it, what may go again, and the record of both."""
