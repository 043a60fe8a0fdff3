"""The shared model: found, checked, kept in the store, and turned into an encoder of pictures and texts.

    models/<fingerprint>/model.json           all that a vector depends on besides the weights
    models/<fingerprint>/weights.safetensors  never a pickle: loading weights must not run code
    models/<fingerprint>/tokenizer.json       of models that do not read CLIP's own byte pairs
    models/<fingerprint>/golden.json          vectors of one fixed picture and two texts, where the weights bring none

The fingerprint is the sha256 of model.json (16 hex digits), which holds the sha256 of the weights: two vectors can be
compared exactly when their fingerprints are equal. Whoever reads a release needs nothing but the store.
Owns open_clip, and torch together with `train`; both are imported where they are used (seconds per process).
"""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from string import Formatter
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from pluribus.errors import ConfigError, Exists, Missing, ModelError, ShopError
from pluribus.records import Model
from pluribus.store import Store, open_store

if TYPE_CHECKING:
    import torch

#: Raised whenever the code below would give other vectors for the same model.json.
ENCODER_VERSION = 1
#: Of a Model, what no vector depends on.
UNMARKED = ("name", "weights", "revision", "licence")
#: Measured on ViT-B-32 and mini: bfloat16 keeps cosines above 0.9999; a changed interpolation, normalisation or
#: activation function falls below 0.999.
GOLDEN_COSINE = 0.9995
GOLDEN_TEXTS = ("a photo of a red dress", "Trail running shoe, dark blue. Grippy sole; 280 g.")

# ------------------------------------------------------------------------------------------------- into the store


def register(store: Store, model: Model) -> str:
    """Put a model into the store, once, and return its fingerprint. Needs no torch.

    Raises ConfigError for a model file that cannot be meant, ModelError for weights that are absent, not safetensors,
    or not those of `sha256`.
    """
    architecture = _architecture(model)
    own_tokenizer = "hf_tokenizer_name" in architecture["text_cfg"]
    if model.sha256 and _remote(model.weights) and not own_tokenizer:  # then nothing need be downloaded twice
        fingerprint = _fingerprint(_describe(model, architecture, model.sha256, ""))
        if _registered(store, fingerprint):
            return fingerprint
    weights = _fetch(model, "")
    digest = _checked(weights, model)
    tokenizer = _fetch(model, "tokenizer.json") if own_tokenizer else None
    text = _describe(model, architecture, digest, _sha256(tokenizer) if tokenizer else "")
    fingerprint = _fingerprint(text)
    if not _registered(store, fingerprint):
        own = store.within(f"models/{fingerprint}")
        own.create("weights.safetensors", weights)
        if tokenizer:
            own.create("tokenizer.json", tokenizer)
        own.create("model.json", text)  # last: where it is, the others are
    return fingerprint


def load(store: Store, fingerprint: str, device: str = "auto") -> "Encoder":
    """The encoder of a registered model, proven on its golden vectors. Raises ModelError."""
    own = store.within(f"models/{fingerprint}")
    try:
        text, weights = own.get("model.json"), own.local("weights.safetensors")
    except Missing:
        raise ModelError(f"no model {fingerprint} in {store.url}", do="refresh the shop to put it there") from None
    described = json.loads(text)
    if _fingerprint(text) != fingerprint or _sha256(weights) != described["sha256"]:
        raise ModelError(f"model {fingerprint} in {store.url} is damaged", do="delete its folder and refresh")
    if described.pop("encoder") != ENCODER_VERSION:
        raise ModelError(f"model {fingerprint} belongs to another version of pluribus",
                         expected=f"encoder version {ENCODER_VERSION}", do="refresh the shop")  # fmt: skip
    tokenizer = own.local("tokenizer.json") if described.pop("tokenizer") else None
    model = Model(**described, name=fingerprint, weights=str(weights), licence="")
    encoder = replace(read(model, device, tokenizer=tokenizer), fingerprint=fingerprint)
    inside = _metadata(weights).get("golden")
    _prove(encoder, np.array(json.loads(inside)) if inside else _golden_in_store(own, encoder))
    return encoder


def _describe(model: Model, architecture: dict[str, Any], digest: str, tokenizer: str) -> bytes:
    marked = {key: value for key, value in asdict(model).items() if key not in UNMARKED}
    marked |= {"sha256": digest, "architecture": architecture, "encoder": ENCODER_VERSION, "tokenizer": tokenizer}
    return json.dumps(marked, sort_keys=True, indent=1).encode()


def _fingerprint(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]


def _registered(store: Store, fingerprint: str) -> bool:
    return any(True for _ in store.items(f"models/{fingerprint}/model.json"))


def _architecture(model: Model) -> dict[str, Any]:
    """The architecture written out, checked as far as can be without building it. Raises ConfigError."""
    written = model.architecture if isinstance(model.architecture, dict) else _named_architecture(model)
    if not {"embed_dim", "vision_cfg", "text_cfg"} <= set(written):
        raise ConfigError(f"architecture of model {model.name!r} is incomplete",
                          expected="embed_dim, vision_cfg and text_cfg, as in open_clip's model_configs")  # fmt: skip
    if written["embed_dim"] != model.width:
        raise ConfigError(f"model {model.name!r} has width = {model.width}",
                          expected=f"{written['embed_dim']}, the embed_dim of its architecture")  # fmt: skip
    fields = {name for _, name, _, _ in Formatter().parse(model.text) if name is not None}
    if fields - set(TEXT_FIELDS) or not fields:
        raise ConfigError(f"model {model.name!r} has text = {model.text!r}",
                          expected=f"some of {{{'}, {'.join(TEXT_FIELDS)}}}")  # fmt: skip
    return written


def _named_architecture(model: Model) -> dict[str, Any]:
    """One of open_clip's own, read beside the package: importing it would take seconds."""
    spec = find_spec("open_clip")
    folder = Path(spec.origin).parent / "model_configs" if spec and spec.origin else Path()
    file = folder / f"{model.architecture}.json"
    if not file.is_file() or file.parent != folder:
        raise ConfigError(f"model {model.name!r} has architecture {model.architecture!r}",
                          expected="a name that open_clip knows, or its model_cfg written out")  # fmt: skip
    written: dict[str, Any] = json.loads(file.read_bytes())
    return written


# ---------------------------------------------------------------------------------------------------- weight files


def _remote(weights: str) -> bool:
    return weights.startswith(("hf-hub:", "s3://"))


def _fetch(model: Model, beside: str) -> Path:
    """A local file: the model's weights, or the file of name `beside` next to them. Raises ModelError."""
    if model.weights.startswith("hf-hub:"):
        return _fetch_hub(model, beside)
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


def _fetch_hub(model: Model, beside: str) -> Path:
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


def _checked(weights: Path, model: Model) -> str:
    """The sha256 of a weight file, which is safetensors and the one that was promised. Raises ModelError."""
    digest = _sha256(weights)
    if model.sha256 and digest != model.sha256:
        raise ModelError(f"model {model.name!r}: {weights.name} has sha256 {digest}", expected=model.sha256,
                         do="fetch the file again, or pin this one if it is the one you want")  # fmt: skip
    _metadata(weights)
    return digest


def _metadata(weights: Path) -> dict[str, str]:
    """What a safetensors file says of itself. Raises ModelError for any other file, a renamed pickle above all."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, framework="np") as file:
            return file.metadata() or {}
    except SafetensorError:
        raise ModelError(f"{weights.name} is no safetensors file", expected="weights that cannot run code",
                         do="convert it with safetensors.torch.save_file, where you trust it") from None  # fmt: skip


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -------------------------------------------------------------------------------------------------------- encoding


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

    written = dict(_architecture(model))
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
    text = _architecture(model)["text_cfg"]
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

    Decoded and resized by torchvision: the same pixels as open_clip's own PIL chain (at most 1/255 apart) in a third
    of the time. Raises ShopError.
    """
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg
    from torchvision.transforms.v2 import functional as pixels

    if isinstance(picture, bytes):
        try:
            raw = torch.frombuffer(bytearray(picture), dtype=torch.uint8)
            image = decode_jpeg(raw, mode=ImageReadMode.RGB)
        except (RuntimeError, ValueError) as error:
            raise ShopError(f"a stored picture of {len(picture)} bytes cannot be decoded: {error}",
                            expected="JPEG", do="fetch the shop's pictures again") from None  # fmt: skip
    else:
        image = torch.from_numpy(picture).permute(2, 0, 1)
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


# ---------------------------------------------------------------------------------------------------------- proofs


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
    return _sha256(path)


def _golden_in_store(own: Store, encoder: Encoder) -> np.ndarray:
    """What the first load gave; this load's own where it is the first."""
    try:
        return np.array(json.loads(own.get("golden.json")))
    except Missing:
        vectors = golden(encoder).round(5)
    try:
        own.create("golden.json", json.dumps(vectors.tolist()).encode())
    except Exists:  # another process was first
        return np.array(json.loads(own.get("golden.json")))
    return vectors


def _prove(encoder: Encoder, wanted: np.ndarray) -> None:
    got = golden(encoder)
    cosines = (got * wanted).sum(axis=1) if got.shape == wanted.shape else np.zeros(3)
    if cosines.min() < GOLDEN_COSINE:
        raise ModelError(
            f"model {encoder.fingerprint} does not give its own golden vectors (cosines "
            f"{', '.join(f'{c:.4f}' for c in cosines)} of a picture and two texts)",
            expected=f"at least {GOLDEN_COSINE}",
            do="compare size, mean, std, interpolation and resize in the model file with those of its training",
        )


# ----------------------------------------------------------------------------------------------------------- words

#: Of a product, what a text template may name.
TEXT_FIELDS = ("title", "description", "brand", "category", "colour", "size", "gender", "material")


def product_text(template: str, product: Mapping[str, Any]) -> str:
    """The text that stands for a product. What the product lacks is left out together with the words before it.

    The encoder cuts a text at the model's context, so a template names first what matters most: the title.
    """
    said, skipped = "", False
    for words, name, _, _ in Formatter().parse(template):
        value = " ".join(str(product.get(name) or "").split()) if name else ""
        if name and not value:
            skipped = True
        elif said or not skipped:
            said += words + value
        else:
            said += value
    return said.strip()


# ----------------------------------------------------------------------------------------------- foreign weights


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
