"""Error policies: what happens when a batch fails in the source, in a stage or in the sink.

``model`` holds policies as data and ``builder``, ``parse`` and ``scope`` make and place them; ``engine`` carries one
out at a step, with ``backoff``, ``breaker`` and ``budget``; ``dead_letter`` makes the document of what was given up.
"""
