"""Pulls that wait for their turn: jobs in files, and the worker that does them one by one."""
