import asyncio
import hashlib
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import aiohttp
import pytest

from main_api.models.download import ChecksumMismatch, Progress, WrongSize
from main_api.models.library import ModelLibrary
from shared.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    RateLimited,
    StorageFull,
    TwinportError,
    Unavailable,
    UpstreamFailed,
)
from shared.http_client import create_http_session
from tests.main_api.models.file_server import REPOSITORY, FileServer, gguf

NAME = "tiny-Q4_K_M.gguf"


@pytest.fixture
async def server() -> AsyncGenerator[FileServer]:
    async with FileServer().running() as running:
        yield running


@pytest.fixture
async def session() -> AsyncGenerator[aiohttp.ClientSession]:
    async with create_http_session(read_timeout_s=5) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def library(server: FileServer, session: aiohttp.ClientSession, folder: Path) -> ModelLibrary:
    return ModelLibrary(folder, session=session, huggingface_endpoint=server.url, pause_s=0.005)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def names_of(library: ModelLibrary) -> list[str]:
    return [model.name for model in await library.models()]


async def test_a_pulled_model_is_whole_listed_and_leaves_nothing_else(
    library: ModelLibrary, server: FileServer, folder: Path
) -> None:
    steps: list[Progress] = []
    model = await library.pull(REPOSITORY, on_progress=steps.append)
    assert (folder / NAME).read_bytes() == server.files[NAME]
    assert names(folder) == [NAME]
    assert (model.name, model.size_bytes, model.problem) == ("tiny-Q4_K_M", 3_000_000, None)
    assert await names_of(library) == ["tiny-Q4_K_M", "twinport-tiny"]
    assert steps[-1] == Progress(NAME, 3_000_000, 3_000_000)
    assert [step.done for step in steps] == sorted(step.done for step in steps)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("acme/tiny-GGUF", "tiny-Q4_K_M"),
        ("acme/tiny-GGUF:q8_0", "tiny-Q8_0"),
        ("acme/tiny-GGUF:Q4_0", "tiny-Q4_0"),
        ("acme/tiny-GGUF/sub/tiny-F16.gguf", "tiny-F16"),
        ("hf.co/acme/tiny-GGUF:Q8_0", "tiny-Q8_0"),
        ("huggingface.co/acme/tiny-GGUF", "tiny-Q4_K_M"),
        ("https://huggingface.co/acme/tiny-GGUF/blob/main/sub/tiny-F16.gguf", "tiny-F16"),
        ("https://hf.co/acme/tiny-GGUF/resolve/main/tiny-Q8_0.gguf?download=true", "tiny-Q8_0"),
    ],
)
async def test_names_find_their_file(library: ModelLibrary, server: FileServer, name: str, expected: str) -> None:
    server.files = {
        path: gguf(1000)
        for path in ("mmproj-Q4_K_M.gguf", "tiny-Q4_0.gguf", "tiny-Q8_0.gguf", "tiny-Q4_K_M.gguf", "sub/tiny-F16.gguf")
    } | {"README.md": b"hello"}
    assert (await library.pull(name)).name == expected


async def test_a_plain_address_is_pulled_and_checked_by_its_linked_checksum(
    library: ModelLibrary, server: FileServer, folder: Path
) -> None:
    assert (await library.pull(server.address(NAME))).name == "tiny-Q4_K_M"
    assert hashlib.sha256((folder / NAME).read_bytes()).digest() == hashlib.sha256(server.files[NAME]).digest()


async def test_a_long_listing_is_read_page_by_page(library: ModelLibrary, server: FileServer) -> None:
    server.page_size = 1
    server.files = {"a-Q2_K.gguf": gguf(900), "b-Q3_K_L.gguf": gguf(900), "c-Q8_0.gguf": gguf(900)}
    assert (await library.pull(f"{REPOSITORY}:Q8_0")).name == "c-Q8_0"


async def test_a_model_in_parts_is_pulled_whole_and_removed_whole(
    library: ModelLibrary, server: FileServer, folder: Path
) -> None:
    server.files = {f"big-Q4_K_M-0000{part}-of-00003.gguf": gguf(2000, seed=part) for part in (1, 2, 3)}
    model = await library.pull(REPOSITORY)
    assert len(names(folder)) == 3
    assert (model.name, model.size_bytes) == ("big-Q4_K_M", 6000)
    await library.remove("big-Q4_K_M")
    assert names(folder) == []


async def test_an_unknown_quantisation_names_those_there_are(library: ModelLibrary) -> None:
    with pytest.raises(NotFound, match=NAME):
        await library.pull(f"{REPOSITORY}:Q2_K")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("acme/missing", NotFound),
        ("justaname", InvalidRequest),
        ("../../etc/passwd", InvalidRequest),
        ("ftp://host/x.gguf", InvalidRequest),
        ("file:///etc/passwd.gguf", InvalidRequest),
        ("http://user:pw@127.0.0.1/x.gguf", InvalidRequest),
        ("http://127.0.0.1/x.zip", InvalidRequest),
        ("http://127.0.0.1/%2e%2e%2fevil.gguf/..%2f.gguf", InvalidRequest),
        ("http://127.0.0.1:9/x.gguf", Unavailable),
    ],
)
async def test_names_that_mean_nothing_are_refused(
    library: ModelLibrary, folder: Path, name: str, error: type[TwinportError]
) -> None:
    with pytest.raises(error):
        await library.pull(name)
    assert not folder.exists() or names(folder) == []


@pytest.mark.parametrize(
    ("status", "error"), [(401, PermissionDenied), (403, PermissionDenied), (429, RateLimited), (500, UpstreamFailed)]
)
async def test_what_the_hub_refuses_is_explained(
    library: ModelLibrary, server: FileServer, status: int, error: type[TwinportError]
) -> None:
    server.tree_status = status
    with pytest.raises(error):
        await library.pull(REPOSITORY)


async def test_dropped_connections_are_taken_up_where_they_stopped(
    library: ModelLibrary, server: FileServer, folder: Path
) -> None:
    server.drops = [500_000, 1_200_000]
    await library.pull(REPOSITORY)
    assert (folder / NAME).read_bytes() == server.files[NAME]
    first, *later = server.ranges_asked()
    assert first is None
    assert len(later) == 2
    assert all(asked and asked != "bytes=0-" for asked in later)


async def test_a_cancelled_pull_keeps_its_part_and_the_next_one_goes_on(
    library: ModelLibrary, server: FileServer, folder: Path
) -> None:
    server.pause_after = 1_500_000
    arrived = asyncio.Event()
    pull = asyncio.create_task(library.pull(REPOSITORY, on_progress=lambda _: arrived.set()))
    await arrived.wait()
    pull.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pull
    kept = (folder / f"{NAME}.part").stat().st_size
    assert kept >= 1_000_000
    assert await names_of(library) == ["twinport-tiny"]

    server.pause_after = None
    await library.pull(REPOSITORY)
    assert server.ranges_asked()[-1] == f"bytes={kept}-"
    assert (folder / NAME).read_bytes() == server.files[NAME]
    assert names(folder) == [NAME]


async def _leave_a_part(library: ModelLibrary, server: FileServer) -> None:
    server.drops = [1_500_000] + [0] * 10
    with pytest.raises(UpstreamFailed):
        await library.pull(REPOSITORY)
    server.drops = []


async def test_a_server_without_ranges_is_read_from_the_start(
    library: ModelLibrary, server: FileServer, folder: Path
) -> None:
    await _leave_a_part(library, server)
    server.ranges = False
    await library.pull(REPOSITORY)
    assert (folder / NAME).read_bytes() == server.files[NAME]


async def test_a_file_that_changed_meanwhile_is_read_from_the_start(
    library: ModelLibrary, server: FileServer, folder: Path
) -> None:
    await _leave_a_part(library, server)
    server.files[NAME] = gguf(seed=2)
    await library.pull(REPOSITORY)
    assert (folder / NAME).read_bytes() == server.files[NAME]


async def test_a_part_of_unknown_origin_is_not_trusted(library: ModelLibrary, server: FileServer, folder: Path) -> None:
    folder.mkdir()
    (folder / f"{NAME}.part").write_bytes(b"GGUF and something else")
    await library.pull(REPOSITORY)
    assert (folder / NAME).read_bytes() == server.files[NAME]


async def test_a_wrong_checksum_throws_the_file_away(library: ModelLibrary, server: FileServer, folder: Path) -> None:
    server.checksums[NAME] = "0" * 64
    with pytest.raises(ChecksumMismatch, match="SHA-256"):
        await library.pull(REPOSITORY)
    assert names(folder) == []


async def test_a_linked_checksum_of_an_address_counts_too(
    library: ModelLibrary, server: FileServer, session: aiohttp.ClientSession, folder: Path
) -> None:
    server.checksums[NAME] = "0" * 64
    elsewhere = ModelLibrary(folder, session=session, huggingface_endpoint="http://hub.invalid")
    with pytest.raises(ChecksumMismatch):
        await elsewhere.pull(f"{server.url}/{REPOSITORY}/resolve/main/{NAME}")


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def test_a_file_with_the_checksum_that_was_asked_for_is_kept(
    library: ModelLibrary, server: FileServer, folder: Path
) -> None:
    await library.pull(server.address(NAME), sha256=sha256_of(server.files[NAME]).upper())
    assert names(folder) == [NAME]
    await library.pull(server.address(NAME), sha256=sha256_of(server.files[NAME]))
    assert len(server.ranges_asked()) == 1  # it is here and right


async def test_a_file_with_another_checksum_than_asked_for_is_thrown_away(
    library: ModelLibrary, server: FileServer, folder: Path
) -> None:
    with pytest.raises(ChecksumMismatch, match=f"{sha256_of(server.files[NAME])}, not {'0' * 64}"):
        await library.pull(server.address(NAME), sha256="0" * 64)
    assert names(folder) == []


@pytest.mark.parametrize("first", [None, "same"])
@pytest.mark.parametrize("right", [True, False])
async def test_a_resumed_file_is_checked_as_a_whole(
    library: ModelLibrary, server: FileServer, folder: Path, first: str | None, right: bool
) -> None:
    wanted = sha256_of(server.files[NAME]) if right else "0" * 64
    server.pause_after = 1_500_000
    pull = asyncio.create_task(library.pull(server.address(NAME), sha256=first and wanted))
    while not (folder / f"{NAME}.part").exists() or (folder / f"{NAME}.part").stat().st_size < 1_000_000:
        await asyncio.sleep(0.01)
    pull.cancel()
    await asyncio.gather(pull, return_exceptions=True)
    server.pause_after = None
    if right:
        await library.pull(server.address(NAME), sha256=wanted)
    else:
        with pytest.raises(ChecksumMismatch):
            await library.pull(server.address(NAME), sha256=wanted)
    assert server.ranges_asked()[-1] is not None
    assert names(folder) == ([NAME] if right else [])


async def test_a_hub_that_announces_another_checksum_is_not_asked_for_the_file(
    library: ModelLibrary, server: FileServer
) -> None:
    with pytest.raises(ChecksumMismatch):
        await library.pull(REPOSITORY, sha256="0" * 64)
    assert server.ranges_asked() == []


async def test_a_model_that_is_here_with_another_checksum_is_a_conflict(
    library: ModelLibrary, server: FileServer, folder: Path
) -> None:
    await library.pull(server.address(NAME))
    with pytest.raises(Conflict, match="remove it first"):
        await library.pull(server.address(NAME), sha256="0" * 64)
    assert names(folder) == [NAME]


async def test_one_checksum_is_not_that_of_several_files(library: ModelLibrary, server: FileServer) -> None:
    server.files = {f"big-Q4_K_M-0000{part}-of-00002.gguf": gguf(2000, seed=part) for part in (1, 2)}
    with pytest.raises(InvalidRequest, match="2 files"):
        await library.pull(REPOSITORY, sha256="0" * 64)


async def test_a_server_that_promises_more_than_it_sends_is_given_up(
    library: ModelLibrary, server: FileServer, folder: Path
) -> None:
    server.declared = 4_000_000
    with pytest.raises(UpstreamFailed):
        await library.pull(server.address(NAME))
    assert NAME not in names(folder)


async def test_a_server_that_has_another_size_than_announced_is_refused(
    library: ModelLibrary, server: FileServer, folder: Path
) -> None:
    server.sizes[NAME] = 2_999_999
    with pytest.raises(WrongSize, match="2999999 were announced"):
        await library.pull(REPOSITORY)
    assert names(folder) == []


async def test_a_server_that_sends_more_than_announced_is_stopped(
    library: ModelLibrary, server: FileServer, folder: Path
) -> None:
    server.sizes[NAME] = 2_000_000
    server.chunked = True
    with pytest.raises(WrongSize, match="sends more than"):
        await library.pull(REPOSITORY)
    assert names(folder) == []


async def test_a_file_of_unknown_length_is_pulled(library: ModelLibrary, server: FileServer, folder: Path) -> None:
    server.chunked = True
    await library.pull(server.address(NAME))
    assert (folder / NAME).read_bytes() == server.files[NAME]


@pytest.mark.parametrize("body", [b"<html>not a model</html>" * 1000, b"GG", b""])
async def test_what_is_no_gguf_is_refused_before_it_is_kept(
    library: ModelLibrary, server: FileServer, folder: Path, body: bytes
) -> None:
    server.files[NAME] = body
    with pytest.raises(InvalidRequest, match="not a GGUF file"):
        await library.pull(server.address(NAME))
    assert names(folder) == []


async def test_a_full_disk_is_noticed_before_the_download(
    library: ModelLibrary, server: FileServer, folder: Path
) -> None:
    server.sizes[NAME] = server.declared = shutil.disk_usage("/").total * 10
    with pytest.raises(StorageFull, match="make room"):
        await library.pull(REPOSITORY)
    assert names(folder) == []


async def test_five_redirects_are_followed_and_six_are_not(
    library: ModelLibrary, server: FileServer, folder: Path
) -> None:
    server.redirects = 5
    await library.pull(REPOSITORY)
    (folder / NAME).unlink()
    server.redirects = 6
    with pytest.raises(UpstreamFailed, match="redirects more than 5"):
        await library.pull(REPOSITORY)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://user:pw@127.0.0.1/x.gguf", "ftp://127.0.0.1/x"])
async def test_redirects_to_other_schemes_or_with_credentials_are_refused(
    library: ModelLibrary, server: FileServer, target: str
) -> None:
    server.redirect_to = target
    with pytest.raises(InvalidRequest):
        await library.pull(REPOSITORY)


async def test_no_request_carries_credentials(library: ModelLibrary, server: FileServer) -> None:
    await library.pull(REPOSITORY)
    assert not [request for request in server.requests if {"authorization", "cookie"} & set(request.headers)]


async def test_two_pulls_of_one_file_do_not_mix(library: ModelLibrary, server: FileServer, folder: Path) -> None:
    results = await asyncio.gather(library.pull(REPOSITORY), library.pull(REPOSITORY), return_exceptions=True)
    assert [type(result) for result in results if isinstance(result, Exception)] == [Conflict]
    assert (folder / NAME).read_bytes() == server.files[NAME]


async def test_pulling_what_is_there_downloads_nothing(library: ModelLibrary, server: FileServer) -> None:
    await library.pull(REPOSITORY)
    await library.pull(REPOSITORY)
    assert len(server.ranges_asked()) == 1


async def test_another_file_of_the_name_is_never_overwritten(library: ModelLibrary, folder: Path) -> None:
    folder.mkdir()
    (folder / NAME).write_bytes(b"mine")
    with pytest.raises(Conflict, match="remove it first"):
        await library.pull(REPOSITORY)
    assert (folder / NAME).read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["tiny-Q4_K_M", "local/tiny-Q4_K_M", "tiny-Q4_K_M.gguf"])
async def test_a_model_is_removed_by_any_of_its_names(library: ModelLibrary, folder: Path, name: str) -> None:
    await library.pull(REPOSITORY)
    removed = await library.remove(name)
    assert (removed.name, removed.size_bytes, removed.complete) == ("tiny-Q4_K_M", 3_000_000, True)
    assert names(folder) == []


@pytest.mark.parametrize("name", ["twinport-tiny", "local/twinport-tiny"])
async def test_the_bundled_model_stays(library: ModelLibrary, name: str) -> None:
    with pytest.raises(InvalidRequest, match="part of the product"):
        await library.remove(name)
    assert await names_of(library) == ["twinport-tiny"]


async def test_an_unfinished_pull_can_be_removed(library: ModelLibrary, server: FileServer, folder: Path) -> None:
    await _leave_a_part(library, server)
    removed = await library.remove("tiny-Q4_K_M")
    assert not removed.complete
    assert names(folder) == []


@pytest.mark.parametrize("name", ["nope", "../secrets/jwt", "/etc/passwd", "*"])
async def test_only_models_are_removed(library: ModelLibrary, folder: Path, name: str) -> None:
    folder.mkdir()
    with pytest.raises(NotFound):
        await library.remove(name)
