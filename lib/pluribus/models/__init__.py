"""The shared models of a fleet, kept in its store: whoever reads a release needs nothing else.

    models/<fingerprint>/model.json           all that a vector depends on besides the weights
    models/<fingerprint>/weights.safetensors
    models/<fingerprint>/tokenizer.json       of models that do not read CLIP's own byte pairs
    models/<fingerprint>/golden.json          vectors of one fixed picture and two texts, where no weights bring them

The fingerprint is the sha256 of model.json (16 hex digits), which holds the sha256 of the weights: two vectors can be
compared exactly when their fingerprints are equal.

Where torch would see a GPU, torch computes; elsewhere OpenVINO does, from an export cached on the machine, so that a
search or an embed step is ready in about 1 CPU-second and imports neither torch nor open_clip. Registering a model
imports no numbers at all.
"""

import ctypes
import hashlib
import json
import logging
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluribus.errors import Exists, Missing, ModelError
from pluribus.models.weights import architecture_of, checked, fetch, metadata, sha256_of
from pluribus.records import Model
from pluribus.store import Store

if TYPE_CHECKING:
    from pluribus.models.encoders import Encoder

__all__ = ["device_of_choice", "gpus", "load", "placed", "register"]

#: Raised whenever the code would give other vectors for the same model.json.
ENCODER_VERSION = 1
#: Of a Model, what no vector depends on.
UNMARKED = ("name", "weights", "revision", "licence")


def register(store: Store, model: Model) -> str:
    """Put a model into the store, once, and return its fingerprint. Needs no torch.

    Raises ConfigError for a model file that cannot be meant, ModelError for weights that are absent, not safetensors,
    or not those of `sha256`.
    """
    architecture = architecture_of(model)
    own_tokenizer = "hf_tokenizer_name" in architecture["text_cfg"]
    if model.sha256 and not own_tokenizer:  # then nothing need be read, or downloaded, twice
        fingerprint = _fingerprint(_describe(model, architecture, model.sha256, ""))
        if _registered(store, fingerprint):
            return fingerprint
    weights = fetch(model, "")
    digest = checked(weights, model)
    tokenizer = fetch(model, "tokenizer.json") if own_tokenizer else None
    text = _describe(model, architecture, digest, sha256_of(tokenizer) if tokenizer else "")
    fingerprint = _fingerprint(text)
    if not _registered(store, fingerprint):
        metadata(weights)  # refuses what is no safetensors
        own = store.within(f"models/{fingerprint}")
        own.create("weights.safetensors", weights)
        if tokenizer:
            own.create("tokenizer.json", tokenizer)
        own.create("model.json", text)  # last: where it is, the others are
    return fingerprint


def load(store: Store, fingerprint: str, device: str = "auto", *, fast: bool = False) -> "Encoder":
    """The encoder of a registered model, held to its golden vectors. Raises ModelError; of pictures, at the first one.

    `device` is "cpu", one of torch's, or "auto": a GPU where there is one. `fast` is for whoever encodes catalogs:
    pictures in bfloat16 on processors too, where that keeps their vectors (GPUs compute so in any case).
    """
    from pluribus.models.encoders import proven

    own = store.within(f"models/{fingerprint}")
    try:
        text, weights = own.get("model.json"), own.local("weights.safetensors")
    except Missing:
        raise ModelError(f"no model {fingerprint} in {store.url}", do="refresh the shop to put it there") from None
    described = json.loads(text)
    if _fingerprint(text) != fingerprint:
        raise ModelError(f"model {fingerprint} in {store.url} is damaged", do="delete its folder and refresh")
    if described.pop("encoder") != ENCODER_VERSION:
        raise ModelError(f"model {fingerprint} belongs to another version of pluribus",
                         expected=f"encoder version {ENCODER_VERSION}", do="refresh the shop")  # fmt: skip
    tokenizer = own.local("tokenizer.json") if described.pop("tokenizer") else None
    model = Model(**described, name=fingerprint, weights=str(weights), licence="")
    encoder = replace(_read(model, fingerprint, device, tokenizer, fast), fingerprint=fingerprint)
    inside = metadata(weights).get("golden") if model.precision == "float" else None  # they are of floats
    return proven(encoder, json.loads(inside) if inside else _golden_in_store(own, encoder))


def placed(store: Store, fingerprint: str, model: Model) -> tuple[Model, Path | None]:
    """A registered model with its weights as a local file, and its tokenizer's where it has one: for training."""
    own = store.within(f"models/{fingerprint}")
    tokenizer = own.local("tokenizer.json") if json.loads(own.get("model.json"))["tokenizer"] else None
    return replace(model, weights=str(own.local("weights.safetensors"))), tokenizer


def device_of_choice() -> str:
    """Where torch should compute: on the GPU where there is one."""
    return "cuda" if gpus() else "cpu"


def _read(model: Model, fingerprint: str, device: str, tokenizer: Path | None, fast: bool) -> "Encoder":
    """By the fastest backend of the device that works here."""
    from pluribus.models import towers_openvino, towers_torch

    if device == "auto":
        device = device_of_choice() if model.precision == "float" else "cpu"
    if device != "cpu" and model.precision == "int8":
        raise ModelError(f"model {fingerprint} is int8 and {device} was asked", expected="a processor")

    def by_torch() -> "Encoder":
        if sha256_of(Path(model.weights)) != model.sha256:
            raise ModelError(f"the weights of model {fingerprint} are damaged", do="delete its folder and refresh")
        return towers_torch.read(model, device, tokenizer=tokenizer)

    if device == "cpu":
        key = f"{fingerprint}-{ENCODER_VERSION}"
        try:
            return towers_openvino.read(model, key, by_torch, tokenizer=tokenizer, fast=fast)
        except towers_openvino.CannotExport as error:
            if model.precision == "int8":
                raise ModelError(f"model {fingerprint} is int8, which is not possible here: {error}",
                                 do='take the model with precision = "float"') from error  # fmt: skip
            logging.getLogger(__name__).warning("model %s is computed by torch, slowly: %s", fingerprint, error)
    return by_torch()


def gpus() -> int:
    """How many the driver offers this process; torch says it too, once imported for 4 CPU-seconds."""
    try:
        driver, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
    except OSError:
        return 0
    return count.value if driver.cuInit(0) == driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0


def _describe(model: Model, architecture: dict[str, Any], digest: str, tokenizer: str) -> bytes:
    marked = {key: value for key, value in asdict(model).items() if key not in UNMARKED}
    if model.precision == "float":  # which models were before there was another
        del marked["precision"]
    marked |= {"sha256": digest, "architecture": architecture, "encoder": ENCODER_VERSION, "tokenizer": tokenizer}
    return json.dumps(marked, sort_keys=True, indent=1).encode()


def _fingerprint(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]


def _registered(store: Store, fingerprint: str) -> bool:
    return any(True for _ in store.items(f"models/{fingerprint}/model.json"))


def _golden_in_store(own: Store, encoder: "Encoder") -> list[list[float]]:
    """What the first load gave; this load's own where it is the first."""
    from pluribus.models.encoders import golden

    with suppress(Missing):
        return list(json.loads(own.get("golden.json")))
    with suppress(Exists):  # else another process was first
        own.create("golden.json", json.dumps(golden(encoder).round(5).tolist()).encode())
    return list(json.loads(own.get("golden.json")))
