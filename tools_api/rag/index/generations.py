"""A new embedding model: its vectors are filled in beside the old ones, which are searched until all are there.

Texts, chunk ids and the index of words stay. Documents that are put meanwhile bring vectors of the new model.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from shared.errors import Conflict
from tools_api.rag.index import plan
from tools_api.rag.index.checks import checked_vectors
from tools_api.rag.index.failures import require_room
from tools_api.rag.index.opened import OpenCollection
from tools_api.rag.index.reading import counts
from tools_api.rag.index.segment_rows import id_behind, segment_rows
from tools_api.rag.index.values import VectorModel

_CLEARED_AT_ONCE = 2000


async def begin(opened: OpenCollection, model: VectorModel) -> None:
    """Begin to fill vectors of a model; goes on with what is there if it was begun for the same one."""
    if opened.next_model == model:
        return
    if opened.next_model is not None:
        await abandon(opened)
    await clear_old_vectors(opened)
    await opened.write(partial(_begin, opened, model))


async def fill(opened: OpenCollection, ids: Sequence[int], vectors: NDArray[np.float32]) -> None:
    """Give chunks their vectors; chunks that are not there any more are left out. Raises `Conflict`, `StorageFull`."""
    await opened.write(partial(_fill, opened, ids, vectors))


async def commit(opened: OpenCollection) -> None:
    """Search the new vectors instead of the old ones. Raises `Conflict` if one is missing, `StorageFull`."""
    await _write_following(opened)
    await opened.write(partial(_commit, opened))


async def abandon(opened: OpenCollection) -> None:
    """Keep the old vectors and forget what was filled in."""
    if opened.next_model is not None:
        await clear_old_vectors(opened)
        await opened.write(partial(_abandon, opened))
        await clear_old_vectors(opened)


async def clear_old_vectors(opened: OpenCollection) -> None:
    """Overwrite vectors that are not searched any more, a little at a time, so that others can write in between."""
    while not opened.dense.stopped and await opened.write(partial(_clear_some, opened)):
        pass


def _begin(opened: OpenCollection, model: VectorModel) -> None:
    with opened.truth.transaction() as db:
        db.execute(
            "UPDATE collection SET next_fingerprint = ?, next_dimensions = ?, next_filled = 0",
            (model.fingerprint, model.dimensions),
        )
    opened.next_model = model


def _fill(opened: OpenCollection, ids: Sequence[int], vectors: NDArray[np.float32]) -> None:
    model = opened.next_model
    if model is None:
        raise Conflict("No vectors of another model are being filled in; begin with that.")
    checked = checked_vectors(vectors, len(ids), model.dimensions)
    require_room(opened.folder, checked.nbytes * 2, opened.options.reserve_bytes)
    with opened.truth.transaction() as db:
        before = db.total_changes
        rows = ((number, memoryview(vector), number) for number, vector in zip(ids, checked, strict=True))
        db.executemany(
            "INSERT INTO next_vector (id, data) SELECT ?, ? WHERE EXISTS (SELECT 1 FROM chunk WHERE id = ?)"
            " ON CONFLICT (id) DO NOTHING",
            rows,
        )
        db.execute("UPDATE collection SET next_filled = next_filled + ?", (db.total_changes - before,))
    opened.shorten_log()


async def _write_following(opened: OpenCollection) -> None:
    """Write the segments of the new vectors, all but the last few, while the old ones are searched."""
    model = opened.next_model
    if model is None:
        return
    loop = asyncio.get_running_loop()
    largest = plan.largest_rows(opened.options, model.dimensions)
    while True:
        written = await opened.read(partial(segment_rows, following=True))
        first = written[-1].end if written else 0
        end = await opened.read(partial(id_behind, first=first, rows=largest, following=True))
        if end is None:
            return
        build = partial(opened.dense.build_following, first, end, model.dimensions, opened.index_type)
        row = await loop.run_in_executor(opened.threads.background, build)
        await opened.write(partial(opened.dense.add_following, row))


def _commit(opened: OpenCollection) -> None:
    model = opened.next_model
    with opened.truth.transaction() as db:
        pending = counts(db)[2]
        if model is None or pending is None:
            raise Conflict("No vectors of another model are being filled in; begin with that.")
        if pending:
            raise Conflict(f"{pending} chunks have no vector of the new model yet.")
        db.execute("DROP TABLE old_vector")
        db.execute("ALTER TABLE vector RENAME TO old_vector")
        db.execute("ALTER TABLE next_vector RENAME TO vector")
        db.execute("CREATE TABLE next_vector (id INTEGER PRIMARY KEY, data BLOB NOT NULL)")
        db.execute("DELETE FROM segment WHERE next = 0")
        db.execute("UPDATE segment SET next = 0")
        db.execute(
            "UPDATE collection SET fingerprint = next_fingerprint, dimensions = next_dimensions,"
            " next_fingerprint = NULL, next_dimensions = NULL, next_filled = 0"
        )
    opened.model, opened.next_model = model, None
    opened.dense.reload()


def _abandon(opened: OpenCollection) -> None:
    with opened.truth.transaction() as db:
        db.execute("DROP TABLE old_vector")
        db.execute("ALTER TABLE next_vector RENAME TO old_vector")
        db.execute("CREATE TABLE next_vector (id INTEGER PRIMARY KEY, data BLOB NOT NULL)")
        db.execute("DELETE FROM segment WHERE next = 1")
        db.execute("UPDATE collection SET next_fingerprint = NULL, next_dimensions = NULL, next_filled = 0")
    opened.next_model = None


def _clear_some(opened: OpenCollection) -> bool:
    if opened.truth.old_vectors_are_gone:
        return False
    with opened.truth.transaction() as db:
        ids = "SELECT id FROM old_vector ORDER BY id LIMIT ?"
        db.execute(f"DELETE FROM old_vector WHERE id IN ({ids})", (_CLEARED_AT_ONCE,))  # noqa: S608 - a constant
    opened.shorten_log()
    return True
