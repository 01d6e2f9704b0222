"""Jobs and the processes that carry them out: queue, worker, warm child.

Imports the store, exports and what is below.
"""
