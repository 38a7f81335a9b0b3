"""`hfmirror serve` as its clients see it: real processes, raw HTTP."""
