"""The towers by torch: for GPUs, for training, and the reference that every other backend is made from and held to.

Owns open_clip, and torch together with `train`; both are imported where they are used: 11 and 4 CPU-seconds.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pluribus.errors import ConfigError, ModelError
from pluribus.models import squares
from pluribus.models.encoders import Encoder, golden
from pluribus.models.tokens import make_tokenizer
from pluribus.models.weights import architecture_of, from_huggingface, sha256_of
from pluribus.records import Model

if TYPE_CHECKING:
    import torch


def read(model: Model, device: str = "cpu", *, tokenizer: Path | None = None) -> Encoder:
    """The encoder of a weight file on this machine, its golden vectors not yet looked at. Raises ModelError."""
    from safetensors.torch import load_file

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
    return _encoder(model, network.requires_grad_(False).eval().to(device), device, tokenizer)


def untrained(model: Model) -> Encoder:
    """An encoder with random weights, on the processor: what a training starts from."""
    return _encoder(model, build(model).eval(), "cpu", None)


def _encoder(model: Model, network: Any, device: str, tokenizer: Path | None) -> Encoder:
    import torch

    def vectors(features: "Callable[[torch.Tensor], torch.Tensor]", batch: np.ndarray) -> np.ndarray:
        cuda = torch.device(device).type == "cuda"
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=cuda):
            found = _halving(features, torch.from_numpy(batch).to(device))
        return np.asarray(found.float().cpu().numpy())

    see = lambda squares: vectors(lambda x: image_features(network, x, model), squares)
    read = lambda tokens: vectors(lambda x: text_features(network, x), tokens)
    pixels = to_square if device.startswith("cuda") else squares.to_square
    return Encoder("", model, make_tokenizer(model, tokenizer), see, read, network, device, pixels)


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


# ---------------------------------------------------------------------------------------------------------- towers


def to_square(picture: bytes | np.ndarray, model: Model) -> np.ndarray:
    """`squares.to_square` by torchvision: levels differ by 1 at most, in half the time. For GPUs, which wait for it."""
    import torch
    from torchvision.transforms.v2 import functional as F  # noqa: N812 - its usual name

    pixels = torch.from_numpy(np.require(squares.decoded(picture), requirements="W")).permute(2, 0, 1)
    side, (width, height) = model.image_size_px, squares.resized((pixels.shape[2], pixels.shape[1]), model)
    how = F.InterpolationMode(model.interpolation)
    pixels = F.center_crop(F.resize(pixels, [height, width], interpolation=how, antialias=True), [side, side])
    return np.asarray(pixels.permute(1, 2, 0).numpy())


def image_features(network: Any, squares: "torch.Tensor", model: Model) -> "torch.Tensor":
    """Features [n, width] of squares uint8 [n, side, side, 3], which as channels-last memory need no copy."""
    import torch

    pixels, tower = to_input(squares.permute(0, 3, 1, 2), model), network.visual
    if getattr(tower, "pool_type", "") != "tok" or tower.attn_pool is not None:
        whole: torch.Tensor = network.encode_image(pixels)
        return whole
    x = tower._embeds(pixels)
    first = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)
    pooled, _ = tower._pool(_column(tower.transformer, x, first)[:, None])
    features: torch.Tensor = pooled if tower.proj is None else pooled @ tower.proj
    return features


def to_input(squares: "torch.Tensor", model: Model) -> "torch.Tensor":
    """What the image tower wants of levels 0 ... 255 [n, 3, side, side]: normalised on their device."""
    import torch

    mean, std = (torch.tensor(v, device=squares.device).view(3, 1, 1) * 255 for v in (model.mean, model.std))
    return ((squares.float() - mean) / std).contiguous(memory_format=torch.channels_last)


def text_features(network: Any, tokens: "torch.Tensor") -> "torch.Tensor":
    """Features [n, width] of tokens [n, context], computed on the columns in use only, where the tower allows it."""
    if not looks_back_only(network):
        features: torch.Tensor = network.encode_text(tokens)
        return features
    return used_text_features(network, tokens[:, : int(tokens.argmax(dim=-1).max()) + 1])


def looks_back_only(network: Any) -> bool:
    """Whether the text tower is causal and pooled at the end mark, so that no later column can matter.

    Leaving those out is exact (to rounding); open_clip's `encode_text` always computes the whole context, 4-5 times
    the work for titles.
    """
    tower = _text_tower(network)
    pool = getattr(tower, "text_pool_type", getattr(tower, "pool_type", ""))
    causal = getattr(tower, "attn_mask", None) is not None
    return causal and getattr(tower, "cls_emb", None) is None and pool == "argmax"


def used_text_features(network: Any, tokens: "torch.Tensor") -> "torch.Tensor":
    """`encode_text` of tokens [n, any length up to the context], for towers that look back only."""
    import torch

    tower, used = _text_tower(network), tokens.shape[1]
    x = tower.token_embedding(tokens) + tower.positional_embedding[:used]
    x = tower.ln_final(_column(tower.transformer, x, tokens.argmax(dim=-1), tower.attn_mask[:used, :used]))
    projection = tower.text_projection
    projected: torch.Tensor = projection(x) if isinstance(projection, torch.nn.Linear) else x @ projection
    return projected


def _column(transformer: Any, x: "torch.Tensor", of: "torch.Tensor", mask: "torch.Tensor | None" = None) -> Any:
    """What a transformer makes [n, width] of one column of each row of x [n, columns, width]: `of` [n] says which.

    The last block computes that column alone, since nothing reads its others: ViT-B/32 has a fifteenth less to do.
    Exact, to rounding. Blocks that are not open_clip's usual ones compute all.
    """
    import torch
    from open_clip.transformer import ResidualAttentionBlock, Transformer

    rows, last = torch.arange(x.shape[0], device=x.device), transformer.resblocks[-1]
    usual = type(transformer) is Transformer and type(last) is ResidualAttentionBlock and transformer.batch_first
    if not usual or transformer.grad_checkpointing:
        return transformer(x, attn_mask=mask)[rows, of]
    for block in transformer.resblocks[:-1]:
        x = _block(block, x, block.ln_1(x), mask)
    return _block(last, x[rows, of][:, None], last.ln_1(x), None if mask is None else mask[of][:, None, None], of)[:, 0]


def _block(
    block: Any, x: "torch.Tensor", keys: "torch.Tensor", mask: "torch.Tensor | None", of: "torch.Tensor | None" = None
) -> "torch.Tensor":
    """open_clip's residual block; of one column of each row, where `of` says which."""
    import torch

    asking = keys if of is None else keys[torch.arange(x.shape[0], device=x.device), of][:, None]
    x = x + block.ls_1(_attended(block.attn, asking, keys, mask))
    return x + block.ls_2(block.mlp(block.ln_2(x)))  # type: ignore[no-any-return]


def _attended(
    attention: Any, asking: "torch.Tensor", keys: "torch.Tensor", mask: "torch.Tensor | None"
) -> "torch.Tensor":
    """What torch's MultiheadAttention gives for a batch, in fewer operations.

    An export of its own has eight transpositions a block, all planned anew for a text of another length.
    """
    from torch.nn import functional as F  # noqa: N812 - its usual name

    width, weights, bias = attention.embed_dim, attention.in_proj_weight, attention.in_proj_bias
    if asking is keys:
        parts = F.linear(keys, weights, bias).chunk(3, dim=-1)
    else:
        told = F.linear(keys, weights[width:], bias[width:]).chunk(2, dim=-1)
        parts = (F.linear(asking, weights[:width], bias[:width]), *told)
    query, key, value = (
        part.reshape(part.shape[0], -1, attention.num_heads, attention.head_dim).transpose(1, 2) for part in parts
    )
    found = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return attention.out_proj(found.transpose(1, 2).reshape(asking.shape))  # type: ignore[no-any-return]


def _text_tower(network: Any) -> Any:
    return getattr(network, "text", network)


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


# --------------------------------------------------------------------------------------------------------- keeping


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
    _in_order(path)
    return sha256_of(path)


def _in_order(path: Path) -> None:
    """Sort the notes of a safetensors file: it writes them in the order of a hash map, another in each process."""
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        told = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode().ljust(size)
        if len(told) == size:
            file.seek(8)
            file.write(told)
