"""Weight files before anything is loaded from them: found, fetched, and refused unless they are what was promised.

Safetensors only: a pickle runs code when it is read. Nothing here needs torch, except renaming foreign tensors.
"""

import hashlib
import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluribus.errors import ConfigError, Missing, ModelError
from pluribus.records import Model
from pluribus.store import open_store

if TYPE_CHECKING:
    import torch


def fetch(model: Model, beside: str) -> Path:
    """A local file: the model's weights, or the file of name `beside` next to them. Raises ModelError."""
    if model.weights.startswith("hf-hub:"):
        return _from_hub(model, beside)
    if model.weights.startswith("s3://"):
        folder, _, name = model.weights.rpartition("/")
        try:
            return open_store(folder).local(beside or name)
        except Missing as error:
            raise ModelError(f"model {model.name!r}: {error.came}", do="upload it, or correct `weights`") from None
    path = Path(model.weights).with_name(beside) if beside else Path(model.weights)
    if not path.is_file():
        raise ModelError(f"model {model.name!r}: there is no file {path}", do="place it there, or correct `weights`")
    return path


def _from_hub(model: Model, beside: str) -> Path:
    """A file of a Hugging Face repository, downloaded once into that library's own cache."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    owner, name, *inside = model.weights.removeprefix("hf-hub:").split("/")
    usual = {"open_clip": "open_clip_model.safetensors", "huggingface": "model.safetensors"}[model.layout]
    file = beside or "/".join(inside) or usual
    try:
        return Path(hf_hub_download(f"{owner}/{name}", file, revision=model.revision or None))
    except (EntryNotFoundError, OSError, ValueError) as error:
        raise ModelError(
            f"model {model.name!r}: {file} of {owner}/{name} cannot be downloaded ({type(error).__name__})",
            do=f"elsewhere, download huggingface.co/{owner}/{name}/resolve/{model.revision or 'main'}/{file}, "
            f"place it on this machine, and write its path as `weights` into models/{model.name}.toml",
        ) from None


def checked(weights: Path, model: Model) -> str:
    """The sha256 of a weight file, which is the one that was promised. Raises ModelError."""
    digest = sha256_of(weights)
    if model.sha256 and digest != model.sha256:
        raise ModelError(f"model {model.name!r}: {weights.name} has sha256 {digest}", expected=model.sha256,
                         do="fetch the file again, or pin this one if it is the one you want")  # fmt: skip
    return digest


def metadata(weights: Path) -> dict[str, str]:
    """What a safetensors file says of itself. Raises ModelError for any other file, a renamed pickle above all."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, framework="np") as file:
            return file.metadata() or {}
    except SafetensorError:
        raise ModelError(f"{weights.name} is no safetensors file", expected="weights that cannot run code",
                         do="convert it with safetensors.torch.save_file, where you trust it") from None  # fmt: skip


def sha256_of(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def architecture_of(model: Model) -> dict[str, Any]:
    """The architecture written out, checked as far as can be without building it. Raises ConfigError."""
    written = model.architecture if isinstance(model.architecture, dict) else _named(model)
    if not {"embed_dim", "vision_cfg", "text_cfg"} <= set(written):
        raise ConfigError(f"architecture of model {model.name!r} is incomplete",
                          expected="embed_dim, vision_cfg and text_cfg, as in open_clip's model_configs")  # fmt: skip
    if written["embed_dim"] != model.width:
        raise ConfigError(f"model {model.name!r} has width = {model.width}",
                          expected=f"{written['embed_dim']}, the embed_dim of its architecture")  # fmt: skip
    return written


def _named(model: Model) -> dict[str, Any]:
    """One of open_clip's own."""
    folder = open_clip_folder() / "model_configs"
    file = folder / f"{model.architecture}.json"
    if not file.is_file() or file.parent != folder:
        raise ConfigError(f"model {model.name!r} has architecture {model.architecture!r}",
                          expected="a name that open_clip knows, or its model_cfg written out")  # fmt: skip
    written: dict[str, Any] = json.loads(file.read_bytes())
    return written


def open_clip_folder() -> Path:
    """Where open_clip is installed, for the data in its wheel: importing it would take 11 CPU-seconds."""
    spec = find_spec("open_clip")
    return Path(spec.origin).parent if spec and spec.origin else Path()


# ----------------------------------------------------------------------------------------------- foreign names


def from_huggingface(weights: Mapping[str, "torch.Tensor"]) -> dict[str, "torch.Tensor"]:
    """Weights of `transformers.CLIPModel` under open_clip's names (FashionCLIP is published so)."""
    import torch

    named: dict[str, torch.Tensor] = {}
    for theirs, value in weights.items():
        if theirs.endswith("position_ids") or "k_proj" in theirs or "v_proj" in theirs:
            continue
        name = theirs
        for old, new in _HUGGINGFACE:
            name = name.replace(old, new)
        transposed = theirs in ("text_projection.weight", "visual_projection.weight")
        named[name] = value.T.contiguous() if transposed else value
        if "q_proj" in theirs:  # open_clip keeps the three in one matrix
            named[name] = torch.cat([weights[theirs.replace("q_proj", part)] for part in _ATTENTION])
    return named


_ATTENTION = ("q_proj", "k_proj", "v_proj")
_HUGGINGFACE: tuple[tuple[str, str], ...] = (
    ("text_model.embeddings.token_embedding", "token_embedding"),
    ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
    ("text_model.final_layer_norm", "ln_final"),
    ("text_model.encoder.layers", "transformer.resblocks"),
    ("text_projection.weight", "text_projection"),
    ("vision_model.embeddings.class_embedding", "visual.class_embedding"),
    ("vision_model.embeddings.patch_embedding", "visual.conv1"),
    ("vision_model.embeddings.position_embedding.weight", "visual.positional_embedding"),
    ("vision_model.pre_layrnorm", "visual.ln_pre"),  # their spelling
    ("vision_model.post_layernorm", "visual.ln_post"),
    ("vision_model.encoder.layers", "visual.transformer.resblocks"),
    ("visual_projection.weight", "visual.proj"),
    ("self_attn.q_proj.", "attn.in_proj_"),
    ("self_attn.out_proj", "attn.out_proj"),
    ("layer_norm1", "ln_1"),
    ("layer_norm2", "ln_2"),
    ("mlp.fc1", "mlp.c_fc"),
    ("mlp.fc2", "mlp.c_proj"),
)
