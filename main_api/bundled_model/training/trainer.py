"""Training: from the built network or a checkpoint to a trained one.

The learning rate warms up, stays, and falls to nothing at the end. What is saved before the fall can be taken further
with a larger number of tokens; the curve is appended to `curve.jsonl` beside the checkpoints.
"""

import json
import math
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from types import FrameType

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor
from torch.utils.data import DataLoader

from main_api.bundled_model.corpus.mixture import MIXTURE, conversations
from main_api.bundled_model.tokenizer import load
from main_api.bundled_model.training.batches import UNLEARNED, Batch, Encoded, Pools, batch, encode
from main_api.bundled_model.training.copying import build_in_copying, keep_the_circuit
from main_api.bundled_model.training.network import Network, Shape

_WARM_UP = 60
_FALL = 0.3
"""The last part of the training in which the learning rate falls to nothing."""
_CLIP = 1.0
_TOLD_EVERY = 25
_VALIDATED = 40
"""Conversations of every skill that are validated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to train. `tokens` counts all that are read, padding left out; a third of them is learned. Conversations
    of more than `longest` tokens are left out."""

    folder: Path
    seed: int = 1
    tokens: int = 20_000_000
    tokens_per_batch: int = 6_144
    longest: int = 768
    matrix_rate: float = 0.01
    embedding_rate: float = 6e-4
    norm_rate: float = 1e-3
    workers: int = 1
    save_every_s: float = 300
    shape: Shape = field(default_factory=Shape)

    @property
    def tokenizer(self) -> Path:
        return self.folder / "tokenizer.json"


@dataclass(slots=True)
class Progress:
    """What is done so far; `batches` of the pool that is being read."""

    tokens: int = 0
    steps: int = 0
    pool: int = 0
    batches: int = 0


class Trainer:
    """One training in one folder. `run` ends when the tokens are used up or SIGINT or SIGTERM asks for a stop."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._stop = False
        self.network = Network(options.shape)
        build_in_copying(self.network, options.seed)
        self.network.to(self._device)
        keep_the_circuit(self.network)
        self.progress = Progress()
        matrices = [p for name, p in self.network.named_parameters() if p.ndim == 2 and not name.startswith("embed")]
        norms = [p for p in self.network.parameters() if p.ndim == 1]
        self._optimizers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, lr=options.matrix_rate, momentum=0.95, ns_steps=4, weight_decay=0.0),
            torch.optim.AdamW(
                [
                    {"params": [self.network.embedding.weight], "lr": options.embedding_rate},
                    {"params": norms, "lr": options.norm_rate},
                ],
                betas=(0.9, 0.98),
                weight_decay=0.0,
                fused=True,
            ),
        ]
        self._rates = [group["lr"] for optimizer in self._optimizers for group in optimizer.param_groups]

    def latest(self) -> Path | None:
        """Return the checkpoint to go on from: the last one, or the one before the learning rate fell, where it fell on
        the way to another number of tokens."""
        last, steady = (self._options.folder / name for name in ("last.pt", "steady.pt"))
        if steady.exists() and not (last.exists() and _wanted(last) == self._options.tokens):
            return steady
        return last if last.exists() else None

    def resume(self, checkpoint: Path) -> None:
        """Go on from `checkpoint`."""
        state = torch.load(checkpoint, map_location=self._device, weights_only=True)
        self.network.load_state_dict(state["network"])
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.progress = Progress(**state["progress"])

    def run(self, *, steps: int | None = None) -> None:
        """Train to the end, or `steps` steps. The latest state is `last.pt`, the one before the rate falls `steady.pt`,
        the end `final.pt`."""
        options, folder = self._options, self._options.folder
        if self._done() >= 1:
            return
        for wanted in (signal.SIGINT, signal.SIGTERM):
            signal.signal(wanted, self._ask_to_stop)
        saved = started = time.monotonic()
        losses: list[float] = []
        begun_with = self.progress.tokens
        steady_saved = self._done() >= 1 - _FALL
        for item in self._batches():
            if not steady_saved and self._done() >= 1 - _FALL:
                self.save(folder / "steady.pt")
                steady_saved = True
            losses.append(self._step(item))
            if len(losses) % _TOLD_EVERY == 0:
                print(f"{self.progress.tokens:,} tokens, loss {losses[-1]:.3f}", flush=True)
            over = self._done() >= 1
            self._stop |= steps is not None and self.progress.steps >= steps
            if over or self._stop or time.monotonic() - saved > options.save_every_s:
                speed = (self.progress.tokens - begun_with) / (time.monotonic() - started)
                self._report(sum(losses) / len(losses), speed)
                self.save(folder / "last.pt")
                if over:
                    self.save(folder / "final.pt")
                saved, losses = time.monotonic(), []
            if over or self._stop:
                return

    def save(self, path: Path) -> None:
        """Write the state at once or not at all."""
        state = {
            "network": self.network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "progress": asdict(self.progress),
            "shape": self._options.shape.as_dict(),
            "seed": self._options.seed,
            "wanted": self._options.tokens,
        }
        partial = path.with_suffix(".part")
        torch.save(state, partial)
        partial.replace(path)

    def _batches(self) -> Iterator[Batch]:
        options = self._options
        pools = Pools(
            options.tokenizer,
            seed=options.seed,
            first=self.progress.pool,
            tokens_per_batch=options.tokens_per_batch,
            longest=options.longest,
        )
        for pool in DataLoader(pools, batch_size=None, num_workers=options.workers, prefetch_factor=2):
            for item in pool[self.progress.batches :]:
                self.progress.batches += 1
                yield item
            self.progress.pool += 1
            self.progress.batches = 0

    def _step(self, item: Batch) -> float:
        scale = self._rate_now()
        groups = [group for optimizer in self._optimizers for group in optimizer.param_groups]
        for group, rate in zip(groups, self._rates, strict=True):
            group["lr"] = rate * scale
        tokens, places, targets = (part.to(self._device) for part in (item.tokens, item.places, item.targets))
        with torch.autocast(self._device, torch.bfloat16):
            loss = F.cross_entropy(self._logits(tokens, places).float(), targets, ignore_index=UNLEARNED)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.progress.tokens += int((item.tokens != 0).sum())
        self.progress.steps += 1
        return float(loss.detach())

    def _logits(self, tokens: Tensor, places: Tensor) -> Tensor:
        return self.network.logits(self.network(tokens).flatten(0, 1)[places])

    def _rate_now(self) -> float:
        warm = min(1.0, (self.progress.steps + 1) / _WARM_UP)
        return warm * min(1.0, max(0.02, (1 - self._done()) / _FALL))

    def _done(self) -> float:
        return self.progress.tokens / self._options.tokens

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop = True

    def _report(self, loss: float, speed: float) -> None:
        """Print and append one line: the loss of late, and how many messages of each skill are right word for word."""
        exact = self.validate()
        line = {
            "tokens": self.progress.tokens,
            "loss": round(loss, 4),
            "tokens_per_s": round(speed),
            "exact": {skill: round(share, 3) for skill, share in exact.items()},
        }
        with (self._options.folder / "curve.jsonl").open("a", encoding="utf-8") as curve:
            curve.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return, for every skill, the share of messages that come out word for word, on words never seen in training.

        A message is right when every token is the likeliest one, which is when greedy decoding writes it.
        """
        tokenizer = load(self._options.tokenizer)
        shares: dict[str, float] = {}
        for skill in MIXTURE:
            source = islice(conversations(self._options.seed, held_out=True, only=skill), _VALIDATED)
            rows = [encode(tokenizer, conversation) for conversation in source]
            rows = [row for row in rows if len(row.tokens) <= self._options.longest]
            right, count = 0, 0
            for start in range(0, len(rows), 10):
                these = rows[start : start + 10]
                for good in self._messages_right(these):
                    right, count = right + good, count + 1
            shares[skill] = right / max(1, count)
        return shares

    def _messages_right(self, rows: list[Encoded]) -> list[bool]:
        item = batch(rows)
        with torch.autocast(self._device, torch.bfloat16):
            likeliest = self._logits(item.tokens.to(self._device), item.places.to(self._device)).argmax(-1).cpu()
        wrong = defaultdict(bool)
        right = likeliest == item.targets
        message, before = 0, -math.inf
        for place, target, good in zip(item.places.tolist(), item.targets.tolist(), right.tolist(), strict=True):
            if target == UNLEARNED:
                break
            if place != before + 1:
                message += 1
            before = place
            wrong[message] |= not good
        return [not bad for bad in wrong.values()]


def _wanted(checkpoint: Path) -> int | None:
    """Return how many tokens the training of a checkpoint was to read in all."""
    wanted = torch.load(checkpoint, map_location="cpu", weights_only=True).get("wanted")
    return wanted if isinstance(wanted, int) else None
