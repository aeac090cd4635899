"""Reads OpenAI's answer to a request for embeddings, and believes none of it unseen."""

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from tools_api.embeddings.remote_call import RemoteFailure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Vectors:
    """Rows of length 1, in the order of the texts, and the tokens that the API counted (0 if it did not)."""

    rows: "NDArray[np.float32]"
    tokens: int


def read_vectors(body: bytes, count: int) -> Vectors:
    """Return the vectors for `count` texts. Raises `RemoteFailure` if the answer has others, or what is no vector."""
    import numpy as np

    try:
        answer: Any = orjson.loads(body)
        entries = sorted(answer["data"], key=lambda entry: entry["index"])
        places = [entry["index"] for entry in entries]
        rows = [_row(entry["embedding"]) for entry in entries]
        usage: dict[str, Any] = answer.get("usage") or {}
        tokens = int(usage.get("prompt_tokens") or 0)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        raise RemoteFailure("the API answers with what is no list of embeddings") from None
    if places != list(range(count)):
        raise RemoteFailure(f"the API answers with {len(places)} embeddings for {count} texts, or with others")
    if len({len(row) for row in rows}) != 1 or len(rows[0]) == 0:
        raise RemoteFailure("the API answers with embeddings of different lengths")
    return Vectors(_normalised(np.stack(rows)), tokens)


def _row(embedding: str | list[float]) -> "NDArray[np.float32]":
    """Read a vector, which is base64 of little-endian float32, or a list of numbers if the API knows no better."""
    import numpy as np

    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    return np.asarray(embedding, dtype=np.float32)


def _normalised(rows: "NDArray[np.float32]") -> "NDArray[np.float32]":
    import numpy as np

    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not (lengths > 0).all():
        raise RemoteFailure("the API answers with an embedding that has no direction")
    return np.ascontiguousarray(rows / lengths, dtype=np.float32)
