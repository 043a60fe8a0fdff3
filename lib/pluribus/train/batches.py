"""Batches: what one step learns from, and another photograph of the same things."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pluribus.errors import ConfigError
from pluribus.models.encoders import Encoder

if TYPE_CHECKING:
    import torch


#: Groups of a source that share a batch. Random products differ in kind, and telling kinds apart is all that a batch
#: then asks for; among few kinds it asks for colours and patterns too.
GROUPS = 8


@dataclass(frozen=True, eq=False)
class Pairs:
    """One source of training: pictures, and of each every caption that is true of it."""

    squares: np.ndarray  # uint8 [n, 3, side, side], of the model's side
    captions: Sequence[Sequence[str]]
    share: float = 1.0  # of the batches, relative to the other sources'
    groups: np.ndarray | None = None  # [n], what makes pictures hard to tell apart: the kind of a product
    vary: float = 1.0  # how far `augment` goes
    generated: bool = False  # drawn for the training, sold by nobody
    recolour: bool = False  # whether it may change hues: only where no caption names a colour
    drawn: Sequence[int] | None = None  # [n], of a picture's captions only the first so many are drawn; all are true


@dataclass(frozen=True, eq=False)
class Batches:
    """The sources with every distinct caption tokenised once."""

    sources: Sequence[Pairs]
    tokens: "torch.Tensor"  # [distinct captions, context]
    true: list[np.ndarray]  # per source: caption numbers [n, most captions of a picture], -1 where it has fewer
    drawn: list[np.ndarray]  # per source: how many of them are drawn [n]
    members: list[list[np.ndarray]]  # per source: pictures of each group; one group where the source names none

    @staticmethod
    def of(encoder: Encoder, sources: Sequence[Pairs]) -> "Batches":
        """Raises ConfigError for a source without pictures, or with a picture without caption."""
        import torch

        numbers: dict[str, int] = {}
        true, drawn, members = [], [], []
        for pairs in sources:
            if not len(pairs.captions) or min(map(len, pairs.captions)) == 0:
                raise ConfigError("a source of training has no pictures, or a picture without caption")
            table = np.full((len(pairs.captions), max(map(len, pairs.captions))), -1, np.int32)
            for row, captions in zip(table, pairs.captions, strict=True):
                row[: len(captions)] = [numbers.setdefault(caption.lower(), len(numbers)) for caption in captions]
            true.append(table)
            drawn.append(np.asarray((table >= 0).sum(axis=1) if pairs.drawn is None else pairs.drawn))
            groups = np.zeros(len(table), int) if pairs.groups is None else pairs.groups
            members.append([np.flatnonzero(groups == group) for group in np.unique(groups)])
        tokens = torch.from_numpy(encoder.tokenize(list(numbers))).int()
        return Batches(sources, tokens, true, drawn, members)

    def draw(self, size: int, rng: np.random.Generator) -> "Batch":
        """As many pictures of each source as its share, and one of its captions for each picture."""
        import torch

        shares = np.array([pairs.share for pairs in self.sources])
        source = np.sort(rng.choice(len(shares), size, p=shares / shares.sum()))
        squares, true, drawn = [], [], []
        width = max(table.shape[1] for table in self.true)
        ns = np.bincount(source, minlength=len(shares))
        for n, pairs, table, most, members in zip(ns, self.sources, self.true, self.drawn, self.members, strict=True):
            few = rng.choice(len(members), min(GROUPS, len(members)), replace=False)
            chosen = rng.choice(np.concatenate([members[group] for group in few]), n)
            squares.append(pairs.squares[chosen])
            true.append(np.pad(table[chosen], ((0, 0), (0, width - table.shape[1])), constant_values=-1))
            drawn.append(most[chosen])
        all_true = np.concatenate(true)
        said = all_true[np.arange(size), (rng.random(size) * np.concatenate(drawn)).astype(int)]
        distinct = np.unique(said)
        return Batch(
            torch.from_numpy(np.concatenate(squares)),
            self.tokens[distinct],
            torch.from_numpy((all_true[:, :, None] == distinct).any(axis=1)),
            torch.tensor([pairs.vary for pairs in self.sources])[source],
            torch.tensor([pairs.recolour for pairs in self.sources])[source],
        )


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step learns from."""

    squares: "torch.Tensor"  # uint8 [n, 3, side, side]
    tokens: "torch.Tensor"  # of the distinct captions drawn [m, context]
    positives: "torch.Tensor"  # which captions are true of which picture [n, m]
    vary: "torch.Tensor"  # [n]
    recolour: "torch.Tensor"  # [n]


def augment(
    squares: "torch.Tensor",
    vary: "torch.Tensor",
    recolour: "torch.Tensor",
    seed: int,
    rows: "torch.Tensor | None" = None,
) -> "torch.Tensor":
    """Another photograph of the same things: mirrored, turned, moved, nearer, lit otherwise. Float, 0 ... 255.

    Hue and lightness nearly stay, so that colour words keep their meaning, except where `recolour`. Of a batch only
    `rows` are made, each as it would be in company of all others.
    """
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    every, generator = len(squares), torch.Generator().manual_seed(seed)
    rows = torch.arange(every) if rows is None else rows
    squares, vary, recolour, n = squares[rows], vary[rows], recolour[rows], len(rows)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.rand(every, *shape, generator=generator)[rows]

    def around_0(most: float, *shape: int) -> torch.Tensor:
        return (drawn(*shape) * 2 - 1) * most * vary.view(n, *(1 for _ in shape))

    angle, mirror, aspect = around_0(0.15), around_0(1.0).sign(), around_0(0.08).exp()
    zoom = (around_0(0.15) - 0.05).exp()  # below 1: nearer
    slack = (1 - zoom).clamp(min=0.05)
    across, down = zoom * mirror * aspect, zoom / aspect
    turns = [across * angle.cos(), -down * angle.sin(), slack * around_0(0.8),
            across * angle.sin(), down * angle.cos(), slack * around_0(0.8)]  # fmt: skip
    grid = affine_grid(torch.stack(turns, dim=1).view(n, 2, 3).to(squares.device), list(squares.shape), False)
    moved = grid_sample(squares.float(), grid, padding_mode="border", align_corners=False).cpu()
    grey = moved.mean(dim=1, keepdim=True)
    tint = (drawn(3, 1, 1) * 0.6 - 0.3).exp()
    fade = drawn(1, 1, 1)
    moved = torch.where(recolour.view(n, 1, 1, 1), (moved * fade + grey * (1 - fade)) * tint, moved)
    mean = grey.mean(dim=(2, 3), keepdim=True)
    lit = (moved - mean) * around_0(0.15, 1, 1, 1).exp() + mean * around_0(0.1, 1, 1, 1).exp()
    return lit.clamp(0, 255)
