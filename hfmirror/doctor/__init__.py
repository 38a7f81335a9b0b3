"""What may be wrong with this machine, its disk and its network, and what to do about it.

Each check turns what was tried into findings: the trying is done by `sources.probes`, `sources.http`
and the store's own doors, the judging here.
"""
