"""An index of words in memory and one JSON file, for tests of the truth beside it."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from tools_api.rag.index.words_view import IdRange, WordsRow
from tools_api.rag.values import ScoredChunk


class MemoryWords:
    """Scores a chunk by how many of the question's words it has. Commits by renaming a file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "words.json"
        stored = json.loads(self._file.read_text()) if self._file.exists() else {"upto": 0, "rows": []}
        self._upto: int = stored["upto"]
        self.rows: dict[int, str] = dict(stored["rows"])
        self.commits = 0
        self.closed = False

    def applied_upto(self) -> int:
        return self._upto

    def apply(self, added: Iterable[WordsRow], removed: Sequence[IdRange], upto: int) -> None:
        rows = {
            number: text
            for number, text in self.rows.items()
            if not any(first <= number < end for first, end in removed)
        }
        for row in added:
            assert row.chunk_id not in rows, "a chunk was added twice"
            rows[row.chunk_id] = " ".join([row.text, *row.headings, row.title or "", row.name])
        draft = self._file.with_suffix(".tmp")
        draft.write_text(json.dumps({"upto": upto, "rows": list(rows.items())}))
        draft.replace(self._file)
        self.rows, self._upto = rows, upto
        self.commits += 1

    def search(self, query: str, k: int, allowed: Sequence[IdRange] | None) -> list[ScoredChunk]:
        words = query.lower().split()
        found = [
            ScoredChunk(number, float(sum(word in text.lower() for word in words)))
            for number, text in self.rows.items()
            if allowed is None or any(first <= number < end for first, end in allowed)
        ]
        return sorted((hit for hit in found if hit.score), key=lambda hit: (-hit.score, hit.chunk_id))[:k]

    def most(self, query: str) -> float:
        return float(len(query.split()))

    def purge(self) -> bool:
        return False  # each commit writes the file anew

    def close(self) -> None:
        self.closed = True
