"""The towers by OpenVINO: on a processor ready in about 1 CPU-second and several times faster than torch.

A network is exported once per machine, which takes torch, open_clip and some 20 CPU-seconds; its export is kept under
the user's cache folder and later loads import neither. The picture tower waits for a picture: a search has none.

Single precision: the same vectors as torch's, to rounding. Pictures can be `fast`: bfloat16, as GPUs compute them,
where the processor has it and the vectors stay the same to FAST_COSINE; twice the pictures a second. Texts never are:
they are what a shopper waits for and compares by.

A model of `precision = "int8"` is another model: its matrices are kept in 8 bits, one scale an output, and multiplied
with inputs brought to 8 bits as they come (dynamic quantisation: Dettmers et al., 2022, sections 2 and 3.1). A query of
ViT-B/32 takes a third of the time; what that costs in recall is measured (`make bench`), not promised.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pluribus.errors import ModelError, PluribusError
from pluribus.models import towers_torch
from pluribus.models.encoders import Encoder, See, golden, late
from pluribus.models.tokens import make_tokenizer
from pluribus.models.weights import sha256_of
from pluribus.records import Model

EXPORT_COSINE = {"float": 0.9999, "int8": 0.99}  # least, of the export's golden vectors with torch's
FAST_COSINE = 0.9999  # least, of pictures in bfloat16 with the same in single precision
DIGESTS = "digests.json"
EXPORTED = 3  # raise when the same network would now be exported otherwise
TRIED = 16  # pictures
GROUP = 128  # inputs that share a scale, where matrices are int8
MATRIX = 2**15  # weights at least: smaller ones stay as they are


class CannotExport(Exception):
    """This machine, or OpenVINO, cannot do it; torch can."""


def read(
    model: Model, key: str, original: Callable[[], Encoder], *, tokenizer: Path | None = None, fast: bool = False
) -> Encoder:
    """The encoder of a weight file, by its export; where there is none yet, of torch's `original`.

    `key` names what an export depends on besides this code and OpenVINO. Raises CannotExport, and what `original` does.
    """
    with _told():
        folder = _exports() / f"{key}-{EXPORTED}-{_library().__version__.split('-')[0]}"

    def whole(tower: str) -> Path:
        if not _is_whole(folder, tower):
            by_torch = original()
            with _told():
                _export(by_torch, folder)
        return folder

    def see() -> See:
        try:
            here = whole("images")
            with _told():
                return _images(here, "bf16" if fast and _keeps_vectors(here, model) else "f32")
        except CannotExport as error:  # though it was possible before
            raise ModelError(f"the pictures' half of {folder} cannot be used: {error}", do="delete it") from error

    here = whole("texts")
    with _told():
        return Encoder("", model, make_tokenizer(model, tokenizer), late(see), _texts(here))


def _library() -> Any:
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # else its import reports to Google
    import openvino

    return openvino


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (PluribusError, CannotExport):
        raise
    except Exception as error:  # OpenVINO's failures have no narrower class in common
        raise CannotExport(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}") from error


def _exports() -> Path:
    """Where exports are kept: beside the downloads of S3 stores."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pluribus" / "encoders"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _is_whole(folder: Path, tower: str = "") -> bool:
    """Whether every file of an export, or of one tower in it, is there as it was written."""
    try:
        digests = json.loads((folder / DIGESTS).read_bytes())
        return all(sha256_of(folder / name) == digest for name, digest in digests.items() if name.startswith(tower))
    except (OSError, ValueError):
        return False


def _images(folder: Path, precision: str = "f32") -> See:
    """The picture tower of an export. Calls may come from several threads."""
    return _feature(_tower(folder / "images.xml", precision))


def _texts(folder: Path) -> See:
    """Its text tower, always in single precision. What follows the end of the longest text changes nothing."""
    tower = _tower(folder / "texts.xml", "f32")
    read = _feature(tower)
    if not tower.input(0).partial_shape[1].is_dynamic:
        return read
    return lambda tokens: read(tokens[:, : int(tokens.argmax(axis=1).max()) + 1])


def _tower(file: Path, precision: str) -> Any:
    """Where the processor has bfloat16, OpenVINO would take it by default."""
    how = {"INFERENCE_PRECISION_HINT": precision, "DYNAMIC_QUANTIZATION_GROUP_SIZE": str(GROUP)}  # of int8 alone
    return _library().Core().compile_model(file, "CPU", how)


def _keeps_vectors(folder: Path, model: Model) -> bool:
    """Whether this processor has bfloat16 and pictures keep their vectors in it: tried once, and noted by the export.

    The trial is of drawn pictures, costs some seconds and says the same each time.
    """
    core = _library().Core()
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return False
    processor = core.get_property("CPU", "FULL_DEVICE_NAME")
    note = folder / f"bf16-{hashlib.sha256(processor.encode()).hexdigest()[:16]}.json"
    with suppress(OSError, ValueError, TypeError, KeyError):
        return bool(json.loads(note.read_bytes())["cosine"] >= FAST_COSINE)
    cosine = _agreement(_images(folder), _images(folder, "bf16"), model.image_size_px)
    with suppress(OSError):  # a full disk costs the next load another trial
        part = note.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps({"processor": processor, "cosine": cosine}))
        part.replace(note)
    return cosine >= FAST_COSINE


def _agreement(exact: See, fast: See, side: int) -> float:
    """The least cosine of drawn pictures' vectors, seen both ways."""
    rng = np.random.default_rng(0)
    blots = rng.integers(0, 200, (TRIED, 8, 8, 3)).repeat(-(-side // 8), axis=1).repeat(-(-side // 8), axis=2)
    squares = (blots[:, :side, :side] + rng.integers(0, 56, (TRIED, side, side, 3))).astype(np.uint8)
    wanted, got = exact(squares), fast(squares)
    cosines = (wanted * got).sum(axis=1) / np.linalg.norm(wanted, axis=1) / np.linalg.norm(got, axis=1)
    return float(cosines.min())


def _feature(tower: Any) -> See:
    """Each thread keeps its request, and with it the memory and plans of the shapes it has seen."""
    own = threading.local()

    def feature(batch: np.ndarray) -> np.ndarray:
        if not hasattr(own, "request"):
            own.request = tower.create_infer_request()
        found: np.ndarray = own.request.infer({0: np.ascontiguousarray(batch)})[0]
        return found

    return feature


# ----------------------------------------------------------------------------------------------------------- export


def _export(original: Encoder, folder: Path) -> None:
    """Write the towers of torch's encoder into `folder`, in one step, once proven equal."""
    with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent) as place:
        part = Path(place, "export")
        for name, tower in zip(("images", "texts"), _converted(original), strict=True):
            if original.model.precision == "int8":
                _squeeze(tower)
            _library().save_model(tower, part / f"{name}.xml", compress_to_fp16=False)
        made = replace(original, see=_images(part), read=_texts(part))
        cosine = (golden(made) * golden(original)).sum(axis=1).min()
        if cosine < EXPORT_COSINE[original.model.precision]:
            raise CannotExport(f"its vectors differ from torch's (cosine {cosine:.5f})")
        digests = {file.name: sha256_of(file) for file in sorted(part.iterdir())}
        (part / DIGESTS).write_text(json.dumps(digests))
        if not _is_whole(folder):
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # another process was first
            part.rename(folder)
    if not _is_whole(folder):
        raise CannotExport(f"{folder} cannot be written")


def _converted(original: Encoder) -> tuple[Any, Any]:
    """Both towers as OpenVINO's: any number of rows, and of columns where the text tower looks back only."""
    import torch

    network, model = original.network, original.model
    squares = np.zeros((2, model.image_size_px, model.image_size_px, 3), np.uint8)
    tokens = original.tokenize(["a red dress", "mug"])
    trimmed = towers_torch.looks_back_only(network)
    read = towers_torch.used_text_features if trimmed else towers_torch.text_features
    images = _traced(lambda x: towers_torch.image_features(network, x, model), torch.from_numpy(squares))
    texts = _traced(lambda x: read(network, x), torch.from_numpy(tokens))
    side = model.image_size_px
    images.reshape({0: [-1, side, side, 3]})
    texts.reshape({0: [-1, -1 if trimmed else tokens.shape[1]]})
    return images, texts


def _squeeze(tower: Any) -> None:
    """Keep the large matrices of a tower in 8 bits, each of its outputs with a scale of its own."""
    from openvino import opset13

    for product in tower.get_ordered_ops():
        matrix = product.input_value(1).get_node() if product.get_type_name() == "MatMul" else None
        if matrix is None or matrix.get_type_name() != "Constant" or not matrix.get_element_type().is_real():
            continue
        weights = np.asarray(matrix.get_data(), np.float32)
        if weights.ndim != 2 or weights.size < MATRIX:
            continue
        inputs = 1 if product.get_attributes()["transpose_b"] else 0
        scale = np.maximum(np.abs(weights).max(axis=inputs, keepdims=True), 1e-12) / 127
        kept = opset13.convert(opset13.constant(np.rint(weights / scale).astype(np.int8)), "f32")
        product.input(1).replace_source_output(opset13.multiply(kept, opset13.constant(scale)).output(0))


def _traced(features: Callable[[Any], Any], example: Any) -> Any:
    import torch

    class Tower(torch.nn.Module):
        def forward(self, batch: torch.Tensor) -> Any:
            return features(batch)

    with warnings.catch_warnings():  # torch calls tracing deprecated, and OpenVINO's reader of the successor is slower
        warnings.simplefilter("ignore")
        return _library().convert_model(Tower().eval(), example_input=example)
