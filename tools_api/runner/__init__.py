"""The runner: the sandbox alone, as a service, for the level `remote`. `python -m tools_api.runner` serves it.

It runs jobs for a tools API elsewhere that has its key, and knows nothing of tools, models, people or data. It is meant
for a pod or a machine of its own (`deploy/kubernetes`): what gets out of its sandbox finds its key there, and no more.
It stores nothing. Scripts and packages are its own; a job whose scripts are of another version is refused.
"""
