"""Contrastive training of the shared model on pictures and the captions that are true of them.

In catalogs one caption is true of many pictures ("red dress"), so every picture that may bear a caption counts as its
positive, not only the one it was drawn with: batches of products are full of what plain CLIP would call negatives.
The training is a pure function of (encoder, sources, seed, steps): batch n is drawn from (seed, n) alone, so a killed
run resumes where it stood.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pluribus.errors import ConfigError, ModelError
from pluribus.models.encoders import Encoder
from pluribus.models.towers_torch import text_features, to_input

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
    recolour: bool = False  # whether it may change hues: only where no caption names a colour


@dataclass(frozen=True)
class Progress:
    """Where a training stands."""

    step: int
    loss: float  # of this step
    chance: float  # what a model that knows nothing would have lost on it


def fit(
    encoder: Encoder,
    sources: Sequence[Pairs],
    *,
    steps: int,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.1,
    warmup_share: float = 0.05,
    seed: int = 0,
    checkpoint: Path | None = None,
    checkpoint_steps: int = 500,
    report: Callable[[Progress], None] = lambda progress: None,
) -> int:
    """Train the encoder's network in place; returns the number of steps done, those before a resume included.

    AdamW, warm-up, then cosine to zero; gradients are clipped to norm 1; matrix products in bfloat16. Where
    `checkpoint` exists the training goes on from it. Raises ModelError when the loss stops being a number.
    """
    import torch

    batches = Batches.of(encoder, sources)
    network = encoder.network.train().requires_grad_(True)
    optimizer = torch.optim.AdamW(_groups(network, weight_decay), lr=learning_rate, betas=(0.9, 0.98), eps=1e-6)
    start = _resume(checkpoint, network, optimizer, seed)
    for step in range(start, steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * schedule(step, steps, round(steps * warmup_share))
        batch = batches.draw(batch_size, np.random.default_rng([seed, step]))
        loss = _loss(encoder, batch, seed * 1_000_003 + step)
        if not math.isfinite(loss.item()):
            raise ModelError(f"the loss is {loss.item()} at step {step}", do=f"train with less than {learning_rate=}")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            network.logit_scale.clamp_(max=math.log(100))
        report(Progress(step + 1, loss.item(), chance_loss(batch.positives)))
        if checkpoint and ((step + 1) % checkpoint_steps == 0 or step + 1 == steps):
            _keep(checkpoint, network, optimizer, seed, step + 1)
    network.eval().requires_grad_(False)
    return max(start, steps)


def contrastive_loss(
    images: "torch.Tensor", texts: "torch.Tensor", positives: "torch.Tensor", scale: "torch.Tensor"
) -> "torch.Tensor":
    """Mean cross-entropy of both directions; the target of a row is spread evenly over its positives.

    `images` [n, width] and `texts` [m, width] are unit vectors, `positives` [n, m] is boolean with no empty row or
    column. With one positive per row this is CLIP's loss; the spreading is that of supervised contrastive learning
    (Khosla et al. 2020, arXiv 2004.11362).
    """
    from torch.nn.functional import log_softmax

    logits, target = scale * images @ texts.T, positives.float()
    of_images = -(log_softmax(logits, 1) * target / target.sum(1, keepdim=True)).sum(1).mean()
    of_texts = -(log_softmax(logits, 0) * target / target.sum(0, keepdim=True)).sum(0).mean()
    return (of_images + of_texts) / 2


def chance_loss(positives: "torch.Tensor") -> float:
    """The loss of a model to which all are alike: ln(batch) where no caption repeats."""
    images, texts = positives.shape
    return (math.log(images) + math.log(texts)) / 2


def schedule(step: int, steps: int, warmup: int) -> float:
    """Share of the learning rate at a step: linear up, cosine down."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


# ---------------------------------------------------------------------------------------------------------- batches


@dataclass(frozen=True, eq=False)
class Batches:
    """The sources with every distinct caption tokenised once."""

    sources: Sequence[Pairs]
    tokens: "torch.Tensor"  # [distinct captions, context]
    true: list[np.ndarray]  # per source: caption numbers [n, most captions of a picture], -1 where it has fewer
    members: list[list[np.ndarray]]  # per source: pictures of each group; one group where the source names none

    @staticmethod
    def of(encoder: Encoder, sources: Sequence[Pairs]) -> "Batches":
        """Raises ConfigError for a source without pictures, or with a picture without caption."""
        import torch

        numbers: dict[str, int] = {}
        true, members = [], []
        for pairs in sources:
            if not len(pairs.captions) or min(map(len, pairs.captions)) == 0:
                raise ConfigError("a source of training has no pictures, or a picture without caption")
            table = np.full((len(pairs.captions), max(map(len, pairs.captions))), -1, np.int32)
            for row, captions in zip(table, pairs.captions, strict=True):
                row[: len(captions)] = [numbers.setdefault(caption.lower(), len(numbers)) for caption in captions]
            true.append(table)
            groups = np.zeros(len(table), int) if pairs.groups is None else pairs.groups
            members.append([np.flatnonzero(groups == group) for group in np.unique(groups)])
        tokens = torch.from_numpy(encoder.tokenize(list(numbers))).int()
        return Batches(sources, tokens, true, members)

    def draw(self, size: int, rng: np.random.Generator) -> "Batch":
        """As many pictures of each source as its share, and one of its captions for each picture."""
        import torch

        shares = np.array([pairs.share for pairs in self.sources])
        source = np.sort(rng.choice(len(shares), size, p=shares / shares.sum()))
        squares, true = [], []
        width = max(table.shape[1] for table in self.true)
        for n, pairs, table, members in zip(
            np.bincount(source, minlength=len(shares)), self.sources, self.true, self.members, strict=True
        ):
            few = rng.choice(len(members), min(GROUPS, len(members)), replace=False)
            chosen = rng.choice(np.concatenate([members[group] for group in few]), n)
            squares.append(pairs.squares[chosen])
            true.append(np.pad(table[chosen], ((0, 0), (0, width - table.shape[1])), constant_values=-1))
        all_true = np.concatenate(true)
        drawn = all_true[np.arange(size), (rng.random(size) * (all_true >= 0).sum(axis=1)).astype(int)]
        distinct = np.unique(drawn)
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


def augment(squares: "torch.Tensor", vary: "torch.Tensor", recolour: "torch.Tensor", seed: int) -> "torch.Tensor":
    """Another photograph of the same things: mirrored, turned, moved, nearer, lit otherwise. Float, 0 ... 255.

    Hue and lightness nearly stay, so that colour words keep their meaning, except where `recolour`.
    """
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    n, generator = len(squares), torch.Generator().manual_seed(seed)

    def around_0(most: float, *shape: int) -> torch.Tensor:
        spread = (torch.rand(n, *shape, generator=generator) * 2 - 1) * most
        return spread * vary.view(n, *(1 for _ in shape))

    angle, mirror, aspect = around_0(0.15), around_0(1.0).sign(), around_0(0.08).exp()
    zoom = (around_0(0.15) - 0.05).exp()  # below 1: nearer
    slack = (1 - zoom).clamp(min=0.05)
    across, down = zoom * mirror * aspect, zoom / aspect
    rows = [across * angle.cos(), -down * angle.sin(), slack * around_0(0.8),
            across * angle.sin(), down * angle.cos(), slack * around_0(0.8)]  # fmt: skip
    grid = affine_grid(torch.stack(rows, dim=1).view(n, 2, 3).to(squares.device), list(squares.shape), False)
    moved = grid_sample(squares.float(), grid, padding_mode="border", align_corners=False).cpu()
    grey = moved.mean(dim=1, keepdim=True)
    tint = (torch.rand(n, 3, 1, 1, generator=generator) * 0.6 - 0.3).exp()
    fade = torch.rand(n, 1, 1, 1, generator=generator)
    moved = torch.where(recolour.view(n, 1, 1, 1), (moved * fade + grey * (1 - fade)) * tint, moved)
    mean = grey.mean(dim=(2, 3), keepdim=True)
    lit = (moved - mean) * around_0(0.15, 1, 1, 1).exp() + mean * around_0(0.1, 1, 1, 1).exp()
    return lit.clamp(0, 255)


def _loss(encoder: Encoder, batch: Batch, seed: int) -> "torch.Tensor":
    import torch
    from torch.nn.functional import normalize

    network, device = encoder.network, encoder.device
    pictures = to_input(augment(batch.squares, batch.vary, batch.recolour, seed).to(device), encoder.model)
    with torch.autocast(torch.device(device).type, torch.bfloat16):
        images = network.encode_image(pictures)
        order = batch.tokens.count_nonzero(dim=1).argsort()  # short and long ones apart: a quarter less work
        halves = [text_features(network, batch.tokens[half].to(device)) for half in order.chunk(2)]
        texts = torch.cat(halves)[order.argsort().to(device)]
    return contrastive_loss(normalize(images.float(), dim=-1), normalize(texts.float(), dim=-1),
                            batch.positives.to(device), network.logit_scale.exp())  # fmt: skip


# ------------------------------------------------------------------------------------------------------ checkpoints


def _groups(network: Any, weight_decay: float) -> list[dict[str, Any]]:
    """Weights decay, biases, norms and scales do not."""
    matrices = [value for value in network.parameters() if value.dim() > 1]
    others = [value for value in network.parameters() if value.dim() <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _keep(path: Path, network: Any, optimizer: "torch.optim.Optimizer", seed: int, step: int) -> None:
    import torch

    part = path.with_suffix(".part")
    torch.save({"network": network.state_dict(), "optimizer": optimizer.state_dict(), "seed": seed, "step": step}, part)
    part.replace(path)  # a kill leaves the old one or the new one


def _resume(path: Path | None, network: Any, optimizer: "torch.optim.Optimizer", seed: int) -> int:
    """The step to go on from. Raises ConfigError for the checkpoint of another training."""
    import torch

    if not path or not path.exists():
        return 0
    state = torch.load(path, weights_only=True)  # tensors and numbers only: runs no code
    if state["seed"] != seed:
        raise ConfigError(f"{path} was trained with seed {state['seed']}", expected=str(seed), do="remove it")
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
