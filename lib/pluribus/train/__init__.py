"""Contrastive training of the shared model on pictures and the captions that are true of them.

In catalogs one caption is true of many pictures ("red dress"), so every picture that may bear a caption counts as its
positive, not only the one it was drawn with: batches of products are full of what plain CLIP would call negatives.
The training is a pure function of (encoder, sources, seed, steps): batch n is drawn from (seed, n) alone, so a killed
run resumes where it stood.

    batches     what a step learns from              splits      what may be learned from, what only judges
    gradients   its gradient, on small and on many devices       gather      a shop's accepted products as pairs
    errands     a training as a folder and a process of its own  judging     what a model can do, split by split
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pluribus.errors import ConfigError, ModelError
from pluribus.models.encoders import Encoder
from pluribus.train.batches import GROUPS, Batch, Batches, Pairs, augment
from pluribus.train.gradients import Place, chance_loss, contrastive_loss, differentiate

if TYPE_CHECKING:
    import torch

__all__ = ["GROUPS", "Batch", "Batches", "Pairs", "Progress", "augment", "chance_loss", "contrastive_loss",
           "differentiate", "fit", "mix", "schedule"]  # fmt: skip


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
    piece_size: int | None = None,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.1,
    warmup_share: float = 0.05,
    seed: int = 0,
    still: bool = False,
    half: bool = True,
    checkpoint: Path | None = None,
    checkpoint_steps: int = 500,
    report: Callable[[Progress], None] = lambda progress: None,
) -> int:
    """Train the encoder's network in place; returns the number of steps done, those before a resume included.

    AdamW, warm-up, then cosine to zero; gradients are clipped to norm 1; matrix products in bfloat16, unless not
    `half`. `piece_size` pictures at a time lie on the device, whatever the batch. `still` keeps the statistics of
    batch norms as they are: for a trained model that is to learn a little more. Where `checkpoint` exists the training
    goes on from it. In the processes of torchrun each takes its part of every batch. Raises ModelError when the loss
    stops being a number.
    """
    import torch

    place, batches, network = Place.here(), Batches.of(encoder, sources), encoder.network
    _set_learning(network, still)
    optimizer = torch.optim.AdamW(_groups(network, weight_decay), lr=learning_rate, betas=(0.9, 0.98), eps=1e-6)
    identity = {"seed": seed, "steps": steps, "batch_size": batch_size, "learning_rate": learning_rate}
    start = _resume(checkpoint, network, optimizer, identity)
    for step in range(start, steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * schedule(step, steps, round(steps * warmup_share))
        batch = batches.draw(batch_size, np.random.default_rng([seed, step]))
        loss = differentiate(encoder, batch, seed * 1_000_003 + step, piece_size=piece_size, half=half)
        if not math.isfinite(loss):
            raise ModelError(f"the loss is {loss} at step {step}", do=f"train with less than {learning_rate=}")
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            network.logit_scale.clamp_(max=math.log(100))
        report(Progress(step + 1, loss, chance_loss(batch.positives)))
        if checkpoint and place.rank == 0 and ((step + 1) % checkpoint_steps == 0 or step + 1 == steps):
            _keep(checkpoint, network, optimizer, identity, step + 1)
    network.eval().requires_grad_(False)
    return max(start, steps)


def schedule(step: int, steps: int, warmup: int) -> float:
    """Share of the learning rate at a step: linear up, cosine down."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def mix(encoder: Encoder, start: "dict[str, torch.Tensor]", share: float) -> None:
    """Put the network between `start`, weights it once had (0), and its own (1): WiSE-FT.

    What fine-tuning forgets comes back faster than what it learned goes (Wortsman et al. 2022, arXiv 2109.01903).
    """
    network = encoder.network
    own = network.state_dict()
    network.load_state_dict({name: start[name].to(value.device).lerp(value, share) if value.is_floating_point()
                             else value for name, value in own.items()})  # fmt: skip


# ------------------------------------------------------------------------------------------------------ checkpoints


def _set_learning(network: Any, still: bool) -> None:
    """Every weight learns; statistics of batches are gathered anew unless they are to stay."""
    import torch

    network.train().requires_grad_(True)
    if still:
        for layer in network.modules():
            if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
                layer.eval()


def _groups(network: Any, weight_decay: float) -> list[dict[str, Any]]:
    """Weights decay, biases, norms and scales do not."""
    matrices = [value for value in network.parameters() if value.dim() > 1]
    others = [value for value in network.parameters() if value.dim() <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _keep(path: Path, network: Any, optimizer: "torch.optim.Optimizer", identity: dict[str, float], step: int) -> None:
    import torch

    part = path.with_suffix(".part")
    torch.save({"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": step} | identity, part)
    part.replace(path)  # a kill leaves the old one or the new one


def _resume(path: Path | None, network: Any, optimizer: "torch.optim.Optimizer", identity: dict[str, float]) -> int:
    """The step to go on from. Raises ConfigError for the checkpoint of another training."""
    import torch

    if not path or not path.exists():
        return 0
    state = torch.load(path, weights_only=True)  # tensors and numbers only: runs no code
    for name, wanted in identity.items():
        if state.get(name) != wanted:
            raise ConfigError(f"{path} was trained with {name} {state.get(name)}", expected=str(wanted), do="remove it")
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
