"""Turns what a person types after `models pull` into files to download: an address, or a name on Hugging Face.

    https://host/path/model.gguf       that file
    org/repo                           the best middle quantisation in the repository
    org/repo:Q4_K_M                    the file of that quantisation
    org/repo/folder/file.gguf          that file
    hf.co/…, huggingface.co/…          the same, copied from a browser (`/blob/main/` and `/resolve/main/` too)

A model in several parts (`-00001-of-00003.gguf`) is all of its files. The hub's API:
`/api/models/{repo}/tree/{revision}` lists files with their SHA-256 (`lfs.oid`), `/{repo}/resolve/{revision}/{path}`
serves them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast
from urllib.parse import quote, unquote, urljoin, urlsplit

import aiohttp
import orjson

from main_api.models.fetch import fetched
from shared.errors import InvalidRequest, NotFound, PermissionDenied, RateLimited, UpstreamFailed
from shared.tools_contract import JsonObject

_REPOSITORY = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_HUB_PAGE = re.compile(r"/[^/]+/[^/]+/?|/[^/]+/[^/]+/(blob|resolve)/.+")
_FILE_NAME = re.compile(r"[A-Za-z0-9][\w.+ -]*\.gguf", re.I)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"-\d{5}-of-\d{5}(?=\.gguf$)", re.I)
_HUB_HOSTS = frozenset({"hf.co", "huggingface.co", "www.huggingface.co"})
_BEST_FIRST = ("Q4_K_M", "Q4_K_S", "Q5_K_M", "Q4_0", "Q8_0", "IQ4_XS", "Q6_K", "Q5_K_S", "Q3_K_M", "F16", "BF16")
_MOST_PAGES = 20
_LARGEST_PAGE = 8 * 1024 * 1024


class ChecksumMismatch(UpstreamFailed):
    """A file is not the one that was announced or asked for; nothing of it is kept."""

    code = "checksum_mismatch"
    retryable = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One file to download. `sha256` (hex) and `size` (bytes) are None where nobody says them beforehand."""

    url: str
    name: str
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class _HubName:
    repository: str
    path: str | None = None
    quantisation: str | None = None
    revision: str = "main"


async def find_files(session: aiohttp.ClientSession, name: str, *, endpoint: str) -> list[RemoteFile]:
    """Return the files that `name` means, several for a model in parts. Raises `NotFound`, `InvalidRequest`, …"""
    hub_name = _parse(name.strip(), endpoint)
    if hub_name is None:
        return [RemoteFile(url=name.strip(), name=_file_name(urlsplit(name.strip()).path))]
    files = await _list(session, hub_name, endpoint)
    if hub_name.path is not None:
        chosen = [file for file in files if file["path"] == hub_name.path]
        chosen = _with_parts(chosen[0]["path"], files) if chosen else []
    else:
        chosen = _choose(files, hub_name)
    if not chosen:
        raise NotFound(f"{hub_name.repository} has no such GGUF file. It has: {_choices(files)}.")
    return [_remote(file, hub_name, endpoint) for file in chosen]


def read_sha256(text: str) -> str:
    """Return a checksum that a person typed as the hub writes it. Raises `InvalidRequest`."""
    sha256 = text.strip().lower()
    if not _SHA256.fullmatch(sha256):
        raise InvalidRequest(f"A SHA-256 is 64 hexadecimal digits; this is not one: {text[:80]!r}.")
    return sha256


def expecting(files: Sequence[RemoteFile], sha256: str) -> list[RemoteFile]:
    """Return `files` with the checksum that the caller wants. Raises `InvalidRequest`, `ChecksumMismatch`."""
    if len(files) != 1:
        raise InvalidRequest(f"This model is {len(files)} files; a SHA-256 is that of one. Pull them one by one.")
    announced = files[0].sha256
    if announced not in (None, sha256):
        raise ChecksumMismatch(f"{files[0].name} has the SHA-256 {announced} there, not the one asked for.")
    return [replace(files[0], sha256=sha256)]


def _parse(name: str, endpoint: str) -> _HubName | None:
    """Return what a hub name says; None for any other address."""
    bare = name
    if "://" in name:
        if not name.lower().startswith(("http://", "https://")):
            raise InvalidRequest("An address must begin with http:// or https://.")
        parts = urlsplit(name)
        if parts.netloc not in _HUB_HOSTS | {urlsplit(endpoint).netloc} or not _HUB_PAGE.fullmatch(parts.path):
            return None
        bare = f"hf.co{unquote(parts.path)}"
    head, _, rest = bare.partition("/")
    bare = rest if head.lower() in _HUB_HOSTS else bare
    repository, path, quantisation, revision = _split(bare.strip("/"))
    if not _REPOSITORY.fullmatch(repository):
        raise InvalidRequest(
            f"`{name}` is neither an address nor a Hugging Face name; use https://…/file.gguf, org/repo, "
            "org/repo:Q4_K_M or org/repo/file.gguf."
        )
    return _HubName(repository, path, quantisation, revision)


def _split(bare: str) -> tuple[str, str | None, str | None, str]:
    segments = bare.split("/")
    repository, rest = "/".join(segments[:2]), segments[2:]
    revision = "main"
    if len(rest) >= 3 and rest[0] in {"blob", "resolve"}:
        revision, rest = rest[1], rest[2:]
    repository, _, quantisation = repository.partition(":")
    return repository, "/".join(rest) or None, quantisation or None, revision


async def _list(session: aiohttp.ClientSession, name: _HubName, endpoint: str) -> list[JsonObject]:
    url: str | None = f"{endpoint.rstrip('/')}/api/models/{name.repository}/tree/{quote(name.revision)}?recursive=true"
    files: list[JsonObject] = []
    for _ in range(_MOST_PAGES):
        if url is None:
            break
        async with fetched(session, url, {"accept": "application/json"}) as (response, _headers):
            _raise_for(response.status, name.repository)
            page = await response.content.read(_LARGEST_PAGE)
            while not response.content.at_eof() and len(page) < _LARGEST_PAGE:
                page += await response.content.read(_LARGEST_PAGE)
            files += _gguf_files(page)
            following = response.links.get("next")
            url = urljoin(url, str(following["url"])) if following else None
    if not files:
        raise NotFound(f"{name.repository} has no GGUF file; look for a repository whose name ends in -GGUF.")
    return files


def _raise_for(status: int, repository: str) -> None:
    if status == 200:
        return
    if status in {401, 403}:
        raise PermissionDenied(
            f"{repository} does not exist or wants a login. Accept its terms in a browser, download the file there "
            "and put it into the folder `models` of DATA_DIR."
        )
    if status == 404:
        raise NotFound(f"There is no repository {repository} on the hub.")
    if status == 429:
        raise RateLimited("The hub has too many requests from this address; try again in some minutes.")
    raise UpstreamFailed(f"The hub answered with status {status}; try again later.")


def _gguf_files(page: bytes) -> list[JsonObject]:
    try:
        entries: Any = orjson.loads(page)
    except orjson.JSONDecodeError as error:
        raise UpstreamFailed("The hub answered with something that is not JSON.") from error
    if not isinstance(entries, list):
        raise UpstreamFailed("The hub answered with something that is not a list of files.")
    found: list[JsonObject] = []
    for entry in cast("list[Any]", entries):
        match entry:
            case {"type": "file", "path": str(path)} if path.lower().endswith(".gguf") and "mmproj" not in path.lower():
                found.append(cast("JsonObject", entry))
            case _:
                pass
    return found


def _choose(files: list[JsonObject], name: _HubName) -> list[JsonObject]:
    wanted = [name.quantisation] if name.quantisation else [*_BEST_FIRST, ""]
    for quantisation in wanted:
        pattern = re.compile(rf"(?<![A-Z0-9]){re.escape(quantisation)}(?![A-Z0-9_])", re.I)
        matching = [file["path"] for file in files if pattern.search(_PART.sub("", file["path"]))]
        if matching:
            return _with_parts(min(matching, key=len), files)
    return []


def _with_parts(path: str, files: list[JsonObject]) -> list[JsonObject]:
    whole = _PART.sub("", path)
    return sorted((file for file in files if _PART.sub("", file["path"]) == whole), key=lambda file: file["path"])


def _choices(files: list[JsonObject]) -> str:
    paths = sorted({_PART.sub("", file["path"]) for file in files})
    return ", ".join(paths[:20]) + (", …" if len(paths) > 20 else "")


def _remote(file: JsonObject, name: _HubName, endpoint: str) -> RemoteFile:
    lfs: JsonObject = file.get("lfs") or {}
    path: str = file["path"]
    return RemoteFile(
        url=f"{endpoint.rstrip('/')}/{name.repository}/resolve/{quote(name.revision)}/{quote(path)}",
        name=_file_name(path),
        sha256=lfs.get("oid"),
        size=lfs.get("size") or file.get("size"),
    )


def _file_name(path: str) -> str:
    name = unquote(path).rpartition("/")[2]
    if not _FILE_NAME.fullmatch(name):
        raise InvalidRequest("The address must end in the name of a GGUF file, like model-q4.gguf.")
    return name
