"""Pictures and texts to unit vectors: one network of open_clip, its tokenizer and its preprocessing.

Owns open_clip, and torch together with `train`; both are imported where they are used (seconds per process).
"""

import gzip
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pluribus.errors import ConfigError, ModelError, ShopError
from pluribus.records import Model
from pluribus.weights import architecture_of, from_huggingface, sha256_of

if TYPE_CHECKING:
    import torch

GOLDEN_TEXTS = ("a photo of a red dress", "Trail running shoe, dark blue. Grippy sole; 280 g.")


@dataclass(frozen=True, eq=False)
class Encoder:
    """Pictures and texts to unit vectors of one space."""

    fingerprint: str
    model: Model
    network: Any  # open_clip's
    tokenize: Callable[[list[str]], "torch.Tensor"]
    device: str

    @property
    def width(self) -> int:
        """Of every vector."""
        return self.model.width

    def images(self, pictures: Iterable[bytes | np.ndarray], batch_size: int = 64) -> np.ndarray:
        """Vectors [n, width], float32, of JPEG bytes or of uint8 arrays [height, width, 3].

        Holds one batch at a time. Raises ShopError for bytes that are no JPEG.
        """
        import torch

        rows = [np.zeros((0, self.width), np.float32)]
        for batch in _batches(pictures, batch_size):
            squares = torch.stack([to_square(picture, self.model) for picture in batch])
            rows.append(self._vectors(lambda x: self.network.encode_image(to_input(x, self.model)), squares))
        return np.concatenate(rows)

    def texts(self, texts: Sequence[str], batch_size: int = 256) -> np.ndarray:
        """Vectors [n, width], float32. Texts are encoded with others of their length, so nothing pads them.

        What exceeds the model's context is left out: put first what matters most.
        """
        rows = np.zeros((len(texts), self.width), np.float32)
        for start in range(0, len(texts), 64 * batch_size):
            tokens = self.tokenize(list(texts[start : start + 64 * batch_size]))
            order = tokens.count_nonzero(dim=1).argsort(stable=True)
            for first in range(0, len(order), batch_size):
                chosen = order[first : first + batch_size]
                rows[start + chosen.numpy()] = self._vectors(lambda x: text_features(self.network, x), tokens[chosen])
        return rows

    def _vectors(self, features: "Callable[[torch.Tensor], torch.Tensor]", batch: "torch.Tensor") -> np.ndarray:
        import torch

        batch = batch.to(self.device)
        cuda = torch.device(self.device).type == "cuda"
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=cuda):
            vectors = torch.nn.functional.normalize(_halving(features, batch).float(), dim=-1)
        if not torch.isfinite(vectors).all():
            raise ModelError(f"model {self.fingerprint} gives vectors that are not numbers",
                             do="use other weights, or the processor in place of the GPU")  # fmt: skip
        return np.asarray(vectors.cpu().numpy())


def read(model: Model, device: str = "auto", *, tokenizer: Path | None = None) -> Encoder:
    """The encoder of a weight file on this machine, its golden vectors not yet looked at. Raises ModelError."""
    import torch
    from safetensors.torch import load_file

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    network = build(model)
    weights = {name: value.float() if value.is_floating_point() else value
               for name, value in load_file(model.weights).items()}  # fmt: skip
    if model.layout == "huggingface":
        weights = from_huggingface(weights)
    wanted = network.state_dict()
    odd = sorted(set(wanted) ^ set(weights)) or [n for n, v in wanted.items() if v.shape != weights[n].shape]
    if odd:
        raise ModelError(f"the weights of model {model.name!r} are of another architecture: {len(odd)} tensors are "
                         f"absent, foreign or of another shape ({odd[0]} ...)")  # fmt: skip
    network.load_state_dict(weights)
    network.requires_grad_(False).eval().to(device)
    return Encoder("", model, network, make_tokenizer(model, tokenizer), device)


def build(model: Model) -> Any:
    """The network of a model with random weights."""
    from open_clip.model import CLIP, CustomTextCLIP

    written = dict(architecture_of(model))
    kind = CustomTextCLIP if written.pop("custom_text", False) else CLIP
    try:
        return kind(**written)
    except (TypeError, RuntimeError, ValueError) as error:
        raise ConfigError(f"architecture of model {model.name!r}: {error}",
                          expected="what this version of open_clip can build") from None  # fmt: skip


def make_tokenizer(model: Model, file: Path | None = None) -> "Callable[[list[str]], torch.Tensor]":
    """Texts to token numbers [n, context], 0 after the end.

    A vocabulary of V < 49,408 entries is CLIP's own, cut to its first V - 514 merges: rarer words fall into pieces.
    """
    text = architecture_of(model)["text_cfg"]
    context = text.get("context_length", 77)
    if file:
        return _sentence_pieces(file, context)
    return _byte_pairs(text.get("vocab_size", 49408) - 514, context)


def _byte_pairs(merges: int, context: int) -> "Callable[[list[str]], torch.Tensor]":
    from open_clip.tokenizer import SimpleTokenizer, default_bpe

    with TemporaryDirectory() as folder, gzip.open(default_bpe(), "rt", encoding="utf-8") as lines:
        file = Path(folder, "merges.gz")
        file.write_bytes(gzip.compress("".join(islice(lines, merges + 1)).rstrip("\n").encode(), compresslevel=1))
        tokenizer: Callable[[list[str]], torch.Tensor] = SimpleTokenizer(str(file), context_length=context)
    return tokenizer


def _sentence_pieces(file: Path, context: int) -> "Callable[[list[str]], torch.Tensor]":
    """SigLIP's: lower case without punctuation, always the whole context long, padded with the end mark."""
    import torch
    from open_clip.tokenizer import canonicalize_text

    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise ModelError("this model reads sentence pieces, and the package `tokenizers` is not installed",
                         do="pip install tokenizers") from None  # fmt: skip
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.enable_truncation(context)
    tokenizer.enable_padding(length=context, pad_id=1, pad_token="</s>")  # noqa: S106 (no password)
    return lambda texts: torch.tensor([t.ids for t in tokenizer.encode_batch([canonicalize_text(t) for t in texts])])


def text_features(network: Any, tokens: "torch.Tensor") -> "torch.Tensor":
    """Features [n, width] of tokens [n, context], computed on the columns in use only.

    In a causal tower pooled at the end mark no later column can matter, so leaving them out is exact (to rounding);
    open_clip's `encode_text` always computes the whole context, 4-5 times the work for titles. Other towers get it.
    """
    import torch

    tower = getattr(network, "text", network)
    pool = getattr(tower, "text_pool_type", getattr(tower, "pool_type", ""))
    if getattr(tower, "attn_mask", None) is None or getattr(tower, "cls_emb", None) is not None or pool != "argmax":
        features: torch.Tensor = network.encode_text(tokens)
        return features
    ends = tokens.argmax(dim=-1)
    used = int(ends.max()) + 1
    x = tower.token_embedding(tokens[:, :used]) + tower.positional_embedding[:used]
    x = tower.transformer(x, attn_mask=tower.attn_mask[:used, :used])
    x = tower.ln_final(x[torch.arange(len(x), device=x.device), ends])
    projection = tower.text_projection
    projected: torch.Tensor = projection(x) if isinstance(projection, torch.nn.Linear) else x @ projection
    return projected


def to_square(picture: bytes | np.ndarray, model: Model) -> "torch.Tensor":
    """One picture as the model's uint8 [3, side, side].

    Resized by torchvision, where most of the time goes: the pixels of open_clip's own PIL chain, at most 1/255 apart,
    in a third of its time. (torchvision's decoder is deprecated since 0.29.) Raises ShopError.
    """
    import torch
    from torchvision.transforms.v2 import functional as pixels

    if isinstance(picture, bytes):
        try:
            picture = np.asarray(Image.open(io.BytesIO(picture), formats=("JPEG",)).convert("RGB"))
        except (OSError, ValueError, SyntaxError) as error:
            raise ShopError(f"a stored picture cannot be decoded: {error}", expected="JPEG",
                            do="fetch the shop's pictures again") from None  # fmt: skip
    image = torch.tensor(picture).permute(2, 0, 1)
    side, (height, width) = model.image_size_px, image.shape[-2:]
    fit = {"shortest": min(height, width), "longest": max(height, width)}.get(model.resize)
    size = [max(1, int(side * n / fit)) for n in (height, width)] if fit else [side, side]
    if size != [height, width]:
        image = pixels.resize(image, size, pixels.InterpolationMode(model.interpolation), antialias=True)
    square: torch.Tensor = pixels.center_crop(image, [side, side])  # pads with black what is smaller
    return square


def to_input(squares: "torch.Tensor", model: Model) -> "torch.Tensor":
    """What the image tower wants of uint8 [n, 3, side, side]: normalised on their device, channels last in memory."""
    import torch

    mean, std = (torch.tensor(v, device=squares.device).view(3, 1, 1) * 255 for v in (model.mean, model.std))
    return ((squares.float() - mean) / std).contiguous(memory_format=torch.channels_last)


def _halving(features: "Callable[[torch.Tensor], torch.Tensor]", batch: "torch.Tensor") -> "torch.Tensor":
    """Features of a batch, in halves where the GPU has no memory for the whole."""
    import torch

    try:
        return features(batch)
    except torch.OutOfMemoryError:
        if len(batch) == 1:
            raise ModelError("the GPU has no memory for even one item", do="free it, or use the processor") from None
    half = len(batch) // 2
    return torch.cat([_halving(features, batch[:half]), _halving(features, batch[half:])])


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch


# ---------------------------------------------------------------------------------------------------- proofs


def golden(encoder: Encoder) -> np.ndarray:
    """Vectors [3, width] of one drawn picture, neither square nor of the model's size, and of two texts."""
    y, x = np.mgrid[0:180, 0:140]
    waves = [127 + 120 * np.sin(x / a + y / b) for a, b in ((9, 31), (23, 7), (61, 11))]
    picture = np.stack(waves, axis=-1).round().astype(np.uint8)
    picture[40:140, 30:110] = np.random.default_rng(0).integers(
        0, 256, (100, 80, 3)
    )  # what resizing treats differently
    return np.concatenate([encoder.images([picture]), encoder.texts(GOLDEN_TEXTS)])


def save(encoder: Encoder, path: Path, **notes: str) -> str:
    """Write an encoder's weights (matrices in half precision), notes and golden vectors; returns the file's sha256."""
    import torch
    from safetensors.torch import save_file

    weights = {name: (value.half() if value.dim() > 1 and value.is_floating_point() else value).cpu().contiguous()
               for name, value in encoder.network.state_dict().items()}  # fmt: skip
    save_file(weights, path)
    with torch.random.fork_rng():  # building draws random weights
        vectors = golden(read(replace(encoder.model, weights=str(path), layout="open_clip"), "cpu"))
    save_file(weights, path, metadata={"golden": json.dumps(vectors.round(5).tolist()), **notes})
    return sha256_of(path)
