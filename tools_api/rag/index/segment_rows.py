"""The rows of segments in `chunks.db`, and the vectors that segments are made from."""

import sqlite3
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tools_api.rag.index.segment import SegmentRow
from tools_api.rag.index.words_view import IdRange

_COLUMNS = 'number, first, "end", kind, rows, size, checksum, runs'
_AT_ONCE = 2048


def segment_rows(db: sqlite3.Connection, *, following: bool = False) -> list[SegmentRow]:
    """Read the segments in the order of their ids; of the generation that is being filled if `following`."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM segment WHERE next = ? ORDER BY first", (following,))  # noqa: S608
    return [SegmentRow(*row) for row in rows]


def highest_number(db: sqlite3.Connection) -> int:
    """Return the highest number that a segment ever had."""
    row = db.execute("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'segment'), 0)").fetchone()
    return int(row[0])


def replace_segments(
    db: sqlite3.Connection, gone: Sequence[int], made: SegmentRow | None, *, following: bool = False
) -> None:
    """Put a segment in the place of others."""
    db.executemany("DELETE FROM segment WHERE number = ?", [(number,) for number in gone])
    if made is None:
        return
    db.execute(
        'INSERT INTO segment (number, first, "end", kind, rows, size, checksum, runs, next)'
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (made.number, made.first, made.end, made.kind, made.rows, made.size, made.checksum, made.runs, following),
    )


def vectors_in(
    db: sqlite3.Connection, inside: IdRange, dimensions: int, *, following: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Read the vectors of a range of ids, with the ids; those that are deleted meanwhile may be missing or not.

    Each block is a question of its own: a long one would keep the log from being emptied.
    """
    table = "next_vector" if following else "vector"
    count = int(db.execute(f"SELECT count(*) FROM {table} WHERE id >= ? AND id < ?", inside).fetchone()[0])  # noqa: S608
    ids, vectors = np.empty(count, np.int64), np.empty((count, dimensions), np.float32)
    sql = f"SELECT id, data FROM {table} WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"  # noqa: S608
    start, first = 0, inside[0]
    while start < count and (block := db.execute(sql, (first, inside[1], min(_AT_ONCE, count - start))).fetchall()):
        end = start + len(block)
        ids[start:end] = [row[0] for row in block]
        vectors[start:end] = np.frombuffer(b"".join(row[1] for row in block), np.float32).reshape(-1, dimensions)
        start, first = end, block[-1][0] + 1
    return ids[:start], vectors[:start]


def vectors_of(db: sqlite3.Connection, ids: Sequence[int]) -> dict[int, list[float]]:
    """Read the vectors of chunks, by their ids."""
    marks = ", ".join("?" * len(ids))
    rows = db.execute(f"SELECT id, data FROM vector WHERE id IN ({marks})", list(ids))  # noqa: S608
    return {row[0]: np.frombuffer(row[1], np.float32).tolist() for row in rows}


def id_behind(db: sqlite3.Connection, first: int, rows: int, *, following: bool = False) -> int | None:
    """Return the end of the range from `first` that holds that many vectors; None if there are fewer."""
    table = "next_vector" if following else "vector"
    found = db.execute(
        f"SELECT id FROM {table} WHERE id >= ? ORDER BY id LIMIT 1 OFFSET ?",  # noqa: S608
        (first, rows - 1),
    ).fetchone()
    return None if found is None else int(found[0]) + 1
