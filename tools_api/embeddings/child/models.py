"""The models of the encoder's child: sentence-transformers, asked in two steps.

Preparing turns texts into tokens, one list for each; running pads some of them to one length and computes. Between
the two stands the queue, which forms the batches. A model whose input is not plain tokens (a static one, a multimodal
one) is handed the texts themselves when they are computed.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools_api.embeddings.child.queue import Prepared
from tools_api.embeddings.frames import Task

if TYPE_CHECKING:
    import torch

_TOKEN_FEATURES = {"input_ids", "attention_mask", "token_type_ids"}
_PASSAGE_PROMPTS = ("document", "passage", "corpus")
"""Names of the prompt for what is searched, as `SentenceTransformer.encode_document` looks for them."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text as tokens: one row of each tensor, and what is the same for all texts of its task."""

    tensors: "dict[str, torch.Tensor]"
    shared: dict[str, Any]


class TextModel:
    """Texts to vectors of length 1."""

    def __init__(self, folder: Path, *, device: str | None) -> None:
        from sentence_transformers import SentenceTransformer

        self._model: Any = SentenceTransformer(
            str(folder), device=device, local_files_only=True, trust_remote_code=False
        )
        self._model.eval()
        self._tokenizing = threading.Lock()  # a tokenizer is for one thread at a time
        self.max_tokens = int(self._model.max_seq_length or 0) or 8192
        self.dimensions = int(self._model.get_embedding_dimension() or 0) or self._measured()

    def prepare(self, task: Task, texts: Sequence[str], *, count_cut: bool) -> list[Prepared]:
        name = "query" if task is Task.QUERY else "document"
        with self._tokenizing:
            features = self._model.preprocess(list(texts), prompt=self._prompt(task), task=name)
        return _split(self._model, texts, features, self.max_tokens if count_cut else None)

    def run(self, task: Task, batch: Sequence[Prepared]) -> "torch.Tensor":
        """Return one row for each text."""
        import torch

        name = "query" if task is Task.QUERY else "document"
        features = _joined(self._model, batch)
        if features is None:
            with self._tokenizing:
                texts = [item.features for item in batch]
                features = self._model.preprocess(texts, prompt=self._prompt(task), task=name)
        with torch.inference_mode():
            found = self._model(_on(self._model.device, features), task=name)["sentence_embedding"]
            return torch.nn.functional.normalize(found.float(), p=2, dim=1).cpu()

    @property
    def on_processor(self) -> bool:
        return self._model.device.type == "cpu"

    def _prompt(self, task: Task) -> str | None:
        names = ("query",) if task is Task.QUERY else _PASSAGE_PROMPTS
        prompts: dict[str, str] = self._model.prompts
        for name in (*names, self._model.default_prompt_name):
            if name is not None and name in prompts:
                return prompts[name] or None
        return None

    def _measured(self) -> int:
        return int(self.run(Task.PASSAGE, self.prepare(Task.PASSAGE, ["a"], count_cut=False)).shape[1])


class PairModel:
    """A question and a passage to how well the passage answers it, 0 to 1."""

    def __init__(self, folder: Path, *, device: str | None) -> None:
        from sentence_transformers import CrossEncoder

        self._model: Any = CrossEncoder(str(folder), device=device, local_files_only=True, trust_remote_code=False)
        self._model.eval()
        if self._model.num_labels != 1:
            raise ValueError(f"it gives {self._model.num_labels} scores for a pair, and one is needed")

    def prepare(self, texts: Sequence[str]) -> list[Prepared]:
        """Prepare the pairs of the first text with each of the others."""
        pairs = [(texts[0], passage) for passage in texts[1:]]
        return _split(self._model, pairs, self._model.preprocess(pairs), None)

    def run(self, batch: Sequence[Prepared]) -> "torch.Tensor":
        """Return one row of one column for each pair: the logistic function of the model's score."""
        import torch

        features = _joined(self._model, batch)
        if features is None:
            raise ValueError("this cross-encoder does not take plain tokens")
        with torch.inference_mode():
            scores = self._model(_on(self._model.device, features))["scores"]
            return torch.sigmoid(scores.float()).reshape(-1, 1).cpu()


def _split(model: Any, texts: Sequence[Any], features: dict[str, Any], limit: int | None) -> list[Prepared]:
    """Split a padded batch into its texts. With a `limit`, tell which ones were longer than that."""
    tensors = {name for name, value in features.items() if hasattr(value, "shape")}
    if not {"input_ids", "attention_mask"} <= tensors or not tensors <= _TOKEN_FEATURES:
        return [Prepared(max(1, len(str(text)) // 4), text) for text in texts]
    shared = {name: value for name, value in features.items() if name not in tensors}
    lengths: list[int] = features["attention_mask"].sum(dim=1).tolist()
    left = _pads_left(model)
    prepared: list[Prepared] = []
    for row, (text, length) in enumerate(zip(texts, lengths, strict=True)):
        kept = slice(-length, None) if left else slice(0, length)
        tokens = {name: features[name][row, kept] for name in tensors}
        cut = limit is not None and length >= limit and _is_longer(model, text, limit)
        prepared.append(Prepared(length, Tokens(tokens, shared), cut=cut))
    return prepared


def _joined(model: Any, batch: Sequence[Prepared]) -> dict[str, Any] | None:
    """Pad prepared texts to one length, or return None if they are not plain tokens."""
    import torch

    if not isinstance(batch[0].features, Tokens):
        return None
    longest = max(item.tokens for item in batch)
    joined: dict[str, Any] = dict(batch[0].features.shared)
    for name in batch[0].features.tensors:
        fill = int(getattr(model.tokenizer, "pad_token_id", None) or 0) if name == "input_ids" else 0
        padded = torch.full((len(batch), longest), fill, dtype=torch.long)
        for row, item in enumerate(batch):
            place = slice(longest - item.tokens, None) if _pads_left(model) else slice(0, item.tokens)
            padded[row, place] = item.features.tensors[name]
        joined[name] = padded
    return joined


def _pads_left(model: Any) -> bool:
    return getattr(model.tokenizer, "padding_side", "right") == "left"


def _is_longer(model: Any, text: str, limit: int) -> bool:
    """Count the tokens of a text without cutting it; special ones are left out, of which there are at most a few."""
    special = int(model.tokenizer.num_special_tokens_to_add())
    return (
        len(model.tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"])
        > limit - special
    )


def _on(device: "torch.device", features: dict[str, Any]) -> dict[str, Any]:
    return {name: value.to(device) if hasattr(value, "to") else value for name, value in features.items()}
