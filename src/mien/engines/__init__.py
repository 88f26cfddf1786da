"""Engines: where an analysis runs. `local` is `mien.analysis.Run` in this process; `ray` spreads files over a cluster.

An engine of many processes is a driver (`cluster.py`), which cuts the work into units and gathers what they gave, and
workers (`worker.py`), each of which does whole units by a `Run` of its own. What both know of each other stands in the
folder of results (`ledger.py`); Ray (`on_ray.py`) only carries units to workers.
"""

ENGINES = ("local", "ray")
