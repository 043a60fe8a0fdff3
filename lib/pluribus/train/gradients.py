"""The gradient of one contrastive step, however small the device and however many there are.

The loss compares every picture of a batch with every caption of it, so a batch cannot simply be cut: fewer negatives
would be another, easier loss. Instead all features are computed first, the loss is taken of the features alone, and
each piece of the batch is then driven back with its own features' share (GradCache: Gao et al. 2021, arXiv 2101.06983).
Pieces go one after the other through a small device, and side by side over the processes of torchrun; the gradient is
that of the whole batch either way, batch statistics aside (`fit(still=True)` holds those).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pluribus.models.encoders import Encoder
from pluribus.models.towers_torch import text_features, to_input
from pluribus.train.batches import Batch, augment

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Place:
    """This process among those of torchrun; alone where there are none."""

    rank: int = 0
    world: int = 1

    @staticmethod
    def here() -> "Place":
        from torch import distributed

        if not (distributed.is_available() and distributed.is_initialized()):
            return Place()
        return Place(distributed.get_rank(), distributed.get_world_size())

    def summed(self, values: "torch.Tensor") -> "torch.Tensor":
        """The sum of every process's `values`, in place."""
        if self.world > 1:
            from torch import distributed

            distributed.all_reduce(values)
        return values


def differentiate(
    encoder: Encoder, batch: Batch, seed: int, *, piece_size: int | None = None, half: bool = True
) -> float:
    """Leave the gradient of a batch's loss in the network's parameters; returns the loss.

    `piece_size`: how many pictures, or captions, the device can hold with all that the way back needs; None: all.
    `half`: matrix products in bfloat16.
    """
    from torch.nn.functional import normalize

    place, network = Place.here(), encoder.network
    order = batch.tokens.count_nonzero(dim=1).argsort()  # short captions and long ones apart: a quarter less work
    pictures = _Side(encoder, place, _look(encoder, batch, seed), _all(batch.squares), piece_size, 1, half)
    captions = _Side(encoder, place, _read(encoder, batch), order, piece_size, 2, half)
    images, texts = pictures.forward(), captions.forward()
    network.zero_grad()
    positives = batch.positives.to(encoder.device)
    loss = contrastive_loss(normalize(images, dim=-1), normalize(texts, dim=-1), positives, network.logit_scale.exp())
    loss.backward()  # type: ignore[no-untyped-call]
    network.logit_scale.grad /= place.world  # every process has taken the whole loss
    pictures.backward(images.grad)
    captions.backward(texts.grad)
    _share(network, place)
    return loss.item()


class _Side:
    """The pictures, or the captions, of a batch: this process's part of them, in pieces."""

    def __init__(
        self,
        encoder: Encoder,
        place: Place,
        compute: "Callable[[torch.Tensor], torch.Tensor]",
        order: "torch.Tensor",
        piece_size: int | None,
        pieces: int,
        half: bool,
    ) -> None:
        import torch

        self.encoder, self.place, self.compute, self.n, self.half = encoder, place, compute, len(order), half
        mine = order[place.rank :: place.world]
        self.pieces = torch.split(mine, piece_size) if piece_size else torch.chunk(mine, pieces)
        self.once = piece_size is None or len(self.pieces) == 1  # the device holds all that the way back needs
        self.held: list[torch.Tensor] = []

    def forward(self) -> "torch.Tensor":
        """Features [n, width] of the whole side, as a leaf that will get a gradient."""
        import torch

        with torch.set_grad_enabled(self.once):
            found = [self._features(piece) for piece in self.pieces]
        self.held = found if self.once else []
        whole = torch.zeros(self.n, self.encoder.width, device=self.encoder.device)
        for piece, features in zip(self.pieces, found, strict=True):
            whole[piece.to(whole.device)] = features.detach()
        return self.place.summed(whole).requires_grad_()

    def backward(self, gradient: "torch.Tensor | None") -> None:
        """From the gradient of the features to that of the weights, which piece by piece adds up."""
        assert gradient is not None
        for i, piece in enumerate(self.pieces):
            features = self.held[i] if self.once else self._features(piece)
            features.backward(gradient[piece.to(gradient.device)])  # type: ignore[no-untyped-call]

    def _features(self, piece: "torch.Tensor") -> "torch.Tensor":
        import torch

        with torch.autocast(torch.device(self.encoder.device).type, torch.bfloat16, enabled=self.half):
            return self.compute(piece).float()


def _look(encoder: Encoder, batch: Batch, seed: int) -> "Callable[[torch.Tensor], torch.Tensor]":
    def look(rows: "torch.Tensor") -> "torch.Tensor":
        squares = augment(batch.squares, batch.vary, batch.recolour, seed, rows).to(encoder.device)
        features: torch.Tensor = encoder.network.encode_image(to_input(squares, encoder.model))
        return features

    return look


def _read(encoder: Encoder, batch: Batch) -> "Callable[[torch.Tensor], torch.Tensor]":
    return lambda rows: text_features(encoder.network, batch.tokens[rows].to(encoder.device))


def _all(rows: "torch.Tensor") -> "torch.Tensor":
    import torch

    return torch.arange(len(rows))


def _share(network: Any, place: Place) -> None:
    """Give every process the sum of all processes' gradients, in one message."""
    import torch

    if place.world == 1:
        return
    values = [value for value in network.parameters() if value.requires_grad]
    flat = torch.cat([(torch.zeros_like(v) if v.grad is None else v.grad).flatten() for v in values])
    for value, gradient in zip(values, torch.split(place.summed(flat), [v.numel() for v in values]), strict=True):
        value.grad = gradient.view_as(value)


# ------------------------------------------------------------------------------------------------------------- loss


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
