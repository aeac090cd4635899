"""A job as the guest takes it: besides the payload, the scripts that it may import and its environment.

No tree of the host is shown inside. The few files of our own that a job names are read here and travel with it.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tools_api.sandbox.outcome import Job, ReadOnlyTree


def with_scripts(job: Job) -> Job:
    """Return `job` with everything that the guest needs in its payload; `guest/guest.py` undoes it.

    A frame of NUL-separated pairs behind its length, as the supervisor has them, then the contents whose sizes it says.
    """
    scripts = [item for tree in job.trees if not tree.native for item in _scripts(tree)]
    contents = [content for _, content in scripts] + [job.payload]
    fields = [("script", job.script or "")]
    fields += [("env", f"{name}={value}") for name, value in job.env.items()]
    fields += [("module", path) for path, _ in scripts]
    fields += [("size", str(len(content))) for content in contents]
    body = b"\0".join(part.encode() for pair in fields for part in pair)
    return replace(job, payload=b"".join([len(body).to_bytes(8, "big"), body, *contents]), trees=(), env={})


def _scripts(tree: ReadOnlyTree) -> Iterator[tuple[str, bytes]]:
    if tree.source.is_file():
        yield tree.target, tree.source.read_bytes()
        return
    for path in sorted(Path(tree.source).glob("*.py")):
        yield f"{tree.target}/{path.name}", path.read_bytes()
