"""Both backends give the same vectors; exports are made once, used without torch, and never trusted."""

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_models import TINY, TITLES, jpeg, pictures, random_model

from pluribus import models
from pluribus.errors import ModelError
from pluribus.models import encoders, towers_openvino, towers_torch, weights
from pluribus.records import Model
from pluribus.store import Store, open_store

VIT = TINY | {"vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 8}}
CUSTOM = TINY | {"custom_text": True}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pluribus" / "encoders"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def tiny(tmp_path: Path) -> Model:
    return random_model(tmp_path)


def export_of(cache: Path) -> Path:
    (folder,) = cache.iterdir()
    return folder


@pytest.fixture(params=[TINY, VIT, CUSTOM], ids=["resnet", "vit", "custom text"])
def both(
    request: pytest.FixtureRequest, tiny: Model, tmp_path: Path
) -> Iterator[tuple[encoders.Encoder, encoders.Encoder]]:
    model = replace(tiny, architecture=request.param, weights=str(tmp_path / "model.safetensors"))
    towers_torch.save(towers_torch.untrained(model), Path(model.weights))
    yield towers_openvino.read(model, "both", lambda: towers_torch.read(model)), towers_torch.read(model)


def test_the_backends_agree_in_any_company(both: tuple[encoders.Encoder, encoders.Encoder]) -> None:
    exported, original = both
    seen = [*pictures(5), *pictures(2, side=33), jpeg(pictures(1)[0])]
    for batch_size in (1, 3, 64):
        cosines = (exported.images(seen, batch_size) * original.images(seen)).sum(axis=1)
        assert cosines.min() > 0.99999
        cosines = (exported.texts(TITLES * 3, batch_size) * original.texts(TITLES * 3)).sum(axis=1)
        assert cosines.min() > 0.99999
    assert exported.images([]).shape == exported.texts([]).shape == (0, 16)
    assert exported.texts(["mug"]).dtype == exported.images(seen[:1]).dtype == np.float32


@pytest.mark.parametrize("vision", [{}, {"pool_type": "avg"}, {"ls_init_value": 0.5}, {"final_ln_after_pool": True},
                                    {"attentional_pool": True, "attn_pooler_heads": 2}], ids=str)  # fmt: skip
@pytest.mark.parametrize("custom", [{}, {"custom_text": True}], ids=str)
def test_what_is_left_out_of_a_tower_changes_nothing(
    vision: dict[str, Any], custom: dict[str, Any], tiny: Model, tmp_path: Path
) -> None:
    """open_clip's own forward computes every column of the last block, and of the context."""
    import torch

    architecture = VIT | {"vision_cfg": VIT["vision_cfg"] | vision} | custom
    model = replace(tiny, architecture=architecture, weights=str(tmp_path / "model.safetensors"))
    towers_torch.save(towers_torch.untrained(model), Path(model.weights))
    original = towers_torch.read(model)
    exported = towers_openvino.read(model, "whole", lambda: original)
    squares, tokens = np.stack([picture[:32, :32] for picture in pictures(3)]), original.tokenize(TITLES)
    with torch.inference_mode():
        pixels = towers_torch.to_input(torch.from_numpy(squares).permute(0, 3, 1, 2), model)
        seen = original.network.encode_image(pixels).numpy()
        read = original.network.encode_text(torch.from_numpy(tokens)).numpy()
    for encoder in (exported, original):
        np.testing.assert_allclose(encoder.see(squares), seen, atol=1e-5 * np.abs(seen).max(), rtol=1e-4)
        np.testing.assert_allclose(encoder.read(tokens), read, atol=1e-5 * np.abs(read).max(), rtol=1e-4)


def test_towers_compute_in_half_precision_as_gpus_do(tiny: Model) -> None:
    """Masks and weights are of single precision then, inputs are not; gradients are those of open_clip's forward."""
    import torch

    network = towers_torch.untrained(replace(tiny, architecture=VIT)).network
    squares = torch.from_numpy(np.stack([picture[:32, :32] for picture in pictures(3)]))
    tokens = torch.from_numpy(towers_torch.untrained(tiny).tokenize(TITLES))
    of = {
        "pictures": lambda: towers_torch.image_features(network, squares, tiny),
        "texts": lambda: towers_torch.text_features(network, tokens),
    }
    for name, features in of.items():
        exact = features()
        with torch.autocast("cpu", torch.bfloat16):
            half = features()
        assert torch.nn.functional.cosine_similarity(exact, half.float()).min() > 0.995, name
    of["texts"]().square().sum().backward()
    found = {name: weights.grad for name, weights in network.named_parameters() if weights.grad is not None}
    network.zero_grad()
    network.encode_text(tokens).square().sum().backward()
    wanted = {name: weights.grad for name, weights in network.named_parameters() if weights.grad is not None}
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-4, rtol=1e-3)


def test_weights_are_the_same_file_whenever_they_are_written(tiny: Model, tmp_path: Path) -> None:
    encoder = towers_torch.read(tiny)
    notes = {letter: letter for letter in "hgfedcba"}
    digests = {towers_torch.save(encoder, tmp_path / f"{i}.safetensors", **notes) for i in range(3)}
    assert len(digests) == 1
    with (tmp_path / "0.safetensors").open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    assert list(header["__metadata__"]) == sorted([*notes, "golden"])
    assert weights.metadata(tmp_path / "0.safetensors").keys() == {*notes, "golden"}


def test_threads_share_an_encoder(tiny: Model, store: Store) -> None:
    encoder = models.load(store, models.register(store, tiny), "cpu")
    whole = encoder.texts(TITLES)
    with ThreadPoolExecutor(4) as pool:
        for row, one in zip(whole, pool.map(lambda title: encoder.texts([title]), TITLES), strict=True):
            assert np.abs(row - one[0]).max() < 1e-5


SECOND_PROCESS = """
import json, sys
from pluribus import models
from pluribus.store import open_store
vector = models.load(open_store(sys.argv[1]), sys.argv[2]).texts(["a red dress"])
heavy = ("torch", "open_clip", "torchvision", "timm", "transformers", "openvino_telemetry")
print(json.dumps({"vector": vector.tolist(), "heavy": [name for name in heavy if sys.modules.get(name)]}))
"""


def test_a_second_process_needs_no_torch_and_reports_to_nobody(tiny: Model, store: Store, tmp_path: Path) -> None:
    fingerprint = models.register(store, tiny)
    first = models.load(store, fingerprint, "cpu")
    home = tmp_path / "home"
    home.mkdir()
    command = [sys.executable, "-c", SECOND_PROCESS, store.url, fingerprint]
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(home), "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert said["heavy"] == []
    assert done.stderr == ""
    assert np.abs(np.array(said["vector"]) - first.texts(["a red dress"])).max() < 1e-6
    assert list(home.iterdir()) == []  # OpenVINO's telemetry keeps its number of the user there


@pytest.mark.parametrize(("name", "damage"), [("images.bin", "cut"), ("texts.xml", "gone"), ("digests.json", "cut")])
def test_a_damaged_export_is_made_again(name: str, damage: str, tiny: Model, store: Store, cache: Path) -> None:
    fingerprint = models.register(store, tiny)
    whole = models.load(store, fingerprint, "cpu").images(pictures(2))
    file = export_of(cache) / name
    content = file.read_bytes()
    file.unlink()
    if damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    again = models.load(store, fingerprint, "cpu")
    assert again.network is None
    assert np.abs(again.images(pictures(2)) - whole).max() < 1e-6
    assert towers_openvino._is_whole(export_of(cache))


def test_the_export_of_another_model_is_refused(tiny: Model, store: Store, cache: Path, tmp_path: Path) -> None:
    """Whole, but it does not give this model's golden vectors."""
    fingerprint = models.register(store, tiny)
    models.load(store, fingerprint, "cpu")
    right = export_of(cache)
    shutil.rmtree(right)
    other = models.register(store, random_model(tmp_path, seed=1))
    models.load(store, other, "cpu")
    export_of(cache).rename(right)
    with pytest.raises(ModelError, match="golden vectors"):
        models.load(store, fingerprint, "cpu")


def no_openvino(patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    patch.setitem(sys.modules, "openvino", None)


def no_room(patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))


def no_agreement(patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    patch.setattr(towers_openvino, "EXPORT_COSINE", {"float": 1.01, "int8": 1.01})


@pytest.mark.parametrize("trouble", [no_openvino, no_room, no_agreement])
def test_torch_steps_in_and_says_why(
    trouble: Callable[[pytest.MonkeyPatch, Path], None], tiny: Model, store: Store, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    trouble(monkeypatch, tmp_path)
    fingerprint = models.register(store, tiny)
    with caplog.at_level(logging.WARNING):
        encoder = models.load(store, fingerprint, "cpu")
    assert encoder.network is not None
    assert encoder.texts(TITLES).shape == (len(TITLES), 16)
    (line,) = caplog.messages
    assert f"model {fingerprint} is computed by torch" in line
    assert not any(tmp_path.glob("cache/pluribus/encoders/*"))  # nothing half-made stays


def test_fast_pictures_are_the_same_pictures(both: tuple[encoders.Encoder, encoders.Encoder]) -> None:
    """bfloat16 where the processor has it and the network bears it, and nothing else changes."""
    exact, original = both
    fast = towers_openvino.read(exact.model, "both", lambda: original, fast=True)
    seen = pictures(6)
    assert (fast.images(seen) * original.images(seen)).sum(axis=1).min() > towers_openvino.FAST_COSINE - 1e-4
    assert np.array_equal(fast.texts(TITLES), exact.texts(TITLES))


def test_a_network_that_bears_no_bfloat16_stays_exact(
    both: tuple[encoders.Encoder, encoders.Encoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(towers_openvino, "FAST_COSINE", 1.01)
    exact, original = both
    fast = towers_openvino.read(exact.model, "both", lambda: original, fast=True)
    assert np.array_equal(fast.images(pictures(3)), exact.images(pictures(3)))


def test_int8_is_a_model_of_its_own_near_the_exact_one(
    tiny: Model, store: Store, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(towers_openvino, "MATRIX", 0)  # the tiny model's are all small
    exact = models.load(store, models.register(store, tiny), "cpu")
    fingerprint = models.register(store, replace(tiny, precision="int8"))
    small = models.load(store, fingerprint)
    assert fingerprint != exact.fingerprint == models.register(store, replace(tiny, precision="float"))
    for mine, wanted in (
        (small.texts(TITLES), exact.texts(TITLES)),
        (small.images(pictures(4)), exact.images(pictures(4))),
    ):
        assert (mine * wanted).sum(axis=1).min() > 0.98 and not np.array_equal(mine, wanted)
    sizes = {folder.name.split("-")[0]: (folder / "texts.bin").stat().st_size for folder in cache.iterdir()}
    assert sizes[fingerprint] < sizes[exact.fingerprint]
    again = models.load(store, fingerprint, "cpu")  # held to what the first load gave
    assert np.allclose(again.texts(TITLES), small.texts(TITLES), atol=1e-5)
    with pytest.raises(ModelError, match="int8 and cuda was asked"):
        models.load(store, fingerprint, "cuda")


def test_int8_is_never_computed_otherwise(tiny: Model, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(towers_openvino, "EXPORT_COSINE", {"float": 1.01, "int8": 1.01})
    with pytest.raises(ModelError, match=r"is int8, which is not possible here.*precision"):
        models.load(store, models.register(store, replace(tiny, precision="int8")), "cpu")
