"""Every fault of a line, at every place of a file, from one source and from two, killed and not: what it costs.

python -m tests.faults           # the whole matrix; writes docs/reference/faults.md
python -m tests.faults.soak      # random faults, kills and restarts of both ends, for as long as told
"""
