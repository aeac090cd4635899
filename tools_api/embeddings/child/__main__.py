"""The encoder's child: `python -m tools_api.embeddings.child`, with a socket to the tools API as its stdin.

It loads what the first frame says, tells how that went, and answers until the socket ends. What it or its libraries
print goes to stderr, which the tools API writes to its log.
"""

import json
import os
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools_api.embeddings import files
from tools_api.embeddings.child.loading import CannotLoad, load
from tools_api.embeddings.child.queue import Part, Prepared
from tools_api.embeddings.child.serving import Line, begin_reading, serve
from tools_api.embeddings.frames import Kind, Task, pack

if TYPE_CHECKING:
    from tools_api.embeddings.child.models import PairModel, TextModel


class Loaded:
    """The models: the one for texts if one was wanted, and the one for pairs as soon as it is there."""

    def __init__(self) -> None:
        self.texts: TextModel | None = None
        self.pairs: PairModel | None = None

    def prepare(self, part: Part) -> list[Prepared]:
        task, texts = part.texts.task, part.texts.texts
        if task is Task.RERANK and self.pairs is not None:
            return self.pairs.prepare(texts)
        if task is not Task.RERANK and self.texts is not None:
            return self.texts.prepare(task, texts, count_cut=part.texts.count_cut)
        raise ValueError("no model for this is loaded")

    def run(self, task: Task, batch: Sequence[Prepared]) -> Any:
        if task is Task.RERANK and self.pairs is not None:
            return self.pairs.run(batch).numpy()
        if task is not Task.RERANK and self.texts is not None:
            return self.texts.run(task, batch).numpy()
        raise ValueError("no model for this is loaded")


def main() -> None:
    os.dup2(2, 1)  # what libraries print is no frame
    line = Line(socket.socket(fileno=os.dup(0)))
    _, _, _, body = line.receive()  # HELLO
    wanted: dict[str, Any] = json.loads(body)
    queue = begin_reading(line)  # it notices, too, if the tools API ends while a model is downloaded or loaded
    loaded = Loaded()
    try:
        _need_torch()
        found = _load_texts(loaded, wanted)
    except CannotLoad as failure:
        line.send(pack(Kind.FAILED, json.dumps({"reason": str(failure)}).encode()))
        sys.exit(1)
    line.send(pack(Kind.READY, json.dumps(found).encode()))
    if wanted["rerank_model"]:
        threading.Thread(target=_load_pairs, args=(line, loaded, wanted), daemon=True).start()
    on_processor = loaded.texts is None or loaded.texts.on_processor
    serve(line, queue, loaded, threads=wanted["threads"] if on_processor else 1, on_processor=on_processor)


def _load_texts(loaded: Loaded, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """Load the model for texts and return what it is."""
    if wanted["model"] is None:
        return None
    from tools_api.embeddings.child.models import TextModel

    name = str(wanted["model"])
    model, folder = load(name, Path(wanted["downloads"]), lambda folder: TextModel(folder, device=wanted["device"]))
    model.run(Task.QUERY, model.prepare(Task.QUERY, ["warm up"], count_cut=False))
    loaded.texts = model
    return {
        "name": files.shown_name(name),
        "dimensions": model.dimensions,
        "max_tokens": model.max_tokens,
        "fingerprint": files.fingerprint(folder, name),
    }


def _load_pairs(line: Line, loaded: Loaded, wanted: dict[str, Any]) -> None:
    from tools_api.embeddings.child.models import PairModel

    failed: str | None = None
    try:
        loaded.pairs, _ = load(
            str(wanted["rerank_model"]),
            Path(wanted["downloads"]),
            lambda folder: PairModel(folder, device=wanted["device"]),
        )
    except CannotLoad as failure:
        failed = str(failure)
    line.send(pack(Kind.RERANKER, json.dumps({"failed": failed}).encode()))


def _need_torch() -> None:
    try:
        import torch
    except ImportError as error:
        raise CannotLoad(
            "the package torch is missing or broken, which the set-up could not install; start the servers again"
        ) from error
    torch.set_num_threads(1)  # in each of the threads that compute


if __name__ == "__main__":
    main()
