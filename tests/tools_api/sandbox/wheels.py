"""Wheels made on the spot: what pip installs without a network."""

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

_TAGS = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def make_wheel(
    folder: Path, name: str, version: str = "1.0", *, files: Mapping[str, str] | None = None, needs: str = ""
) -> str:
    """Make a wheel of `name`, by default with a module of that name; return its requirement line with its hash."""
    stem = name.replace("-", "_")
    path = folder / f"{stem}-{version}-py3-none-any.whl"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += f"Requires-Dist: {needs}\n" if needs else ""
    content = {
        **(files if files is not None else {f"{stem}/__init__.py": f"__version__ = {version!r}\n"}),
        f"{stem}-{version}.dist-info/METADATA": metadata,
        f"{stem}-{version}.dist-info/WHEEL": _TAGS,
    }
    record = f"{stem}-{version}.dist-info/RECORD"
    lines = [f"{file},sha256={_digest(text)},{len(text)}" for file, text in content.items()]
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in {**content, record: "\n".join([*lines, f"{record},,"])}.items():
            wheel.writestr(file, text)
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
