"""The warm path: a trusted zygote that has imported what is expensive, and forks of it that wait for one job each.

See deploy/decisions/0007-warm-sandboxes.md for why, and `inside/zygote.py` for how a fork becomes a sandbox.
"""
