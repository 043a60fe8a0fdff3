"""The shared model: what is refused, and that vectors depend on nothing but the model and the item."""

import io
import json
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pluribus import models, settings
from pluribus.errors import ConfigError, ModelError, ShopError
from pluribus.models import encoders, squares, tokens, towers_openvino, towers_torch, weights
from pluribus.records import Model
from pluribus.store import Store, open_store

CONFIG = Path(__file__).parents[1] / "config"
TINY: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear", "image_size": 32},
    "text_cfg": {"context_length": 16, "vocab_size": 1014, "width": 32, "heads": 2, "layers": 2},
}
TITLES = ["", "dress", "a red dress", "trail running shoe, dark blue", "long " * 30, "Écharpe 100 % laine ☂", "mug"]


def random_model(folder: Path, *, seed: int = 0, **changes: Any) -> Model:
    """A tiny model with random weights, written as ours are."""
    import torch

    torch.manual_seed(seed)
    file = folder / f"tiny{seed}.safetensors"
    fixed = {"name": "tiny", "weights": str(file), "sha256": "", "width": 16, "licence": "none", "image_size_px": 32,
             "architecture": TINY, "resize": "squash"}  # fmt: skip
    model = Model(**fixed | changes)
    return replace(model, sha256=towers_torch.save(towers_torch.untrained(model), file))


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Exports of these tests: made once, and gone afterwards."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return random_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def encoder(tiny: Model, tmp_path: Path) -> encoders.Encoder:
    """By OpenVINO."""
    store = open_store(str(tmp_path / "store"))
    return models.load(store, models.register(store, tiny), "cpu")


@pytest.fixture
def reference(tiny: Model) -> encoders.Encoder:
    """By torch."""
    return towers_torch.read(tiny)


def pictures(n: int, side: int = 50) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (n, side, side + 10, 3), dtype=np.uint8))


def jpeg(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=95)
    return file.getvalue()


# ---------------------------------------------------------------------------------------------- the shipped models


def test_mini_is_found_small_and_gives_unit_vectors(tmp_path: Path) -> None:
    model = settings._models(str(CONFIG / "models"))["mini"]
    assert Path(model.weights).stat().st_size <= 16 * 2**20
    store = open_store(str(tmp_path))
    encoder = models.load(store, models.register(store, model), "cpu")
    vectors = np.concatenate([encoder.images(pictures(3)), encoder.texts(TITLES)])
    assert vectors.shape == (3 + len(TITLES), model.width)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_mini_knows_red_from_blue(tmp_path: Path) -> None:
    """Were the weights random, or the channels swapped, this would fail."""
    from pluribus import render

    model = settings._models(str(CONFIG / "models"))["mini"]
    encoder = towers_torch.read(model)
    drawn = [np.asarray(render.draw(render.Item(kind, render.colour(colour)), 128))
             for kind in ("dress", "mug") for colour in ("red", "blue")]  # fmt: skip
    texts = [f"{colour} {kind}" for kind in ("dress", "mug") for colour in ("red", "blue")]
    assert (encoder.images(drawn) @ encoder.texts(texts).T).argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_every_shipped_model_file_can_be_meant() -> None:
    shipped = settings._models(str(CONFIG / "models"))
    wanted = {"mini", "vit-b-32-laion2b", "vit-b-16-laion2b", "fashionclip", "marqo-fashionclip", "marqo-fashionsiglip"}
    assert wanted <= set(shipped)
    for model in shipped.values():
        weights.architecture_of(model)


# --------------------------------------------------------------------------------------------------- what is refused


def test_what_cannot_be_downloaded_says_how_to_place_it(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    absent = replace(tiny, name="far", weights="hf-hub:nobody/nothing")
    with pytest.raises(ModelError, match=r"nobody/nothing.*place it on this machine.*models/far\.toml"):
        models.register(open_store(str(tmp_path)), absent)


def test_absent_weights(tiny: Model, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no file .*gone\.safetensors"):
        models.register(open_store(str(tmp_path)), replace(tiny, weights=str(tmp_path / "gone.safetensors")))


def test_another_sha256(tiny: Model, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has sha256"):
        models.register(open_store(str(tmp_path)), replace(tiny, sha256="0" * 64))


@pytest.mark.parametrize("content", [pickle.dumps({"a": 1}), b"PK\x03\x04" + b"\0" * 100, b"", b"\xff" * 64])
def test_what_is_no_safetensors_is_never_loaded(content: bytes, tiny: Model, tmp_path: Path) -> None:
    file = tmp_path / "renamed.safetensors"
    file.write_bytes(content)
    with pytest.raises(ModelError, match="no safetensors file"):
        models.register(open_store(str(tmp_path / "store")), replace(tiny, weights=str(file), sha256=""))


def test_a_width_that_the_architecture_does_not_have(tiny: Model, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="width = 512; expected 16"):
        models.register(open_store(str(tmp_path)), replace(tiny, width=512))


@pytest.mark.parametrize("name", ["ViT-Z-99", "../config", ""])
def test_an_unknown_architecture(name: str, tiny: Model, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="open_clip"):
        models.register(open_store(str(tmp_path)), replace(tiny, architecture=name))


def test_weights_of_another_architecture(tiny: Model, tmp_path: Path) -> None:
    other = TINY | {"text_cfg": TINY["text_cfg"] | {"layers": 3}}
    store = open_store(str(tmp_path))
    with pytest.raises(ModelError, match="another architecture"):
        models.load(store, models.register(store, replace(tiny, architecture=other)))


@pytest.mark.parametrize("changes", [{"mean": (0.0, 0.0, 0.0)}, {"resize": "shortest"}, {"image_size_px": 40}])
def test_golden_vectors_catch_another_preprocessing(changes: dict[str, Any], tiny: Model, tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    encoder = models.load(store, models.register(store, replace(tiny, **changes)))
    encoder.texts(TITLES)  # of which it changes nothing
    with pytest.raises(ModelError, match="golden vectors"):
        encoder.images(pictures(1))


def test_golden_vectors_of_foreign_weights_are_kept_by_the_first_load(tiny: Model, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = tmp_path / "foreign.safetensors"
    save_file(load_file(tiny.weights), file)  # without the golden vectors in its header
    store = open_store(str(tmp_path / "store"))
    fingerprint = models.register(store, replace(tiny, weights=str(file), sha256=""))
    models.load(store, fingerprint)
    key = f"models/{fingerprint}/golden.json"
    kept = json.loads(store.get(key))
    models.load(store, fingerprint)
    store.delete(key)
    store.create(key, json.dumps([kept[1], kept[2], kept[0]]).encode())
    with pytest.raises(ModelError, match="golden vectors"):
        models.load(store, fingerprint)


def test_damage_in_the_store_is_seen(tiny: Model, tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    fingerprint = models.register(store, tiny)
    key = f"models/{fingerprint}/weights.safetensors"
    whole = bytearray(store.get(key))
    whole[-100] ^= 255
    store.delete(key)
    store.create(key, bytes(whole))
    with pytest.raises(ModelError, match="damaged"):
        models.load(store, fingerprint)
    with pytest.raises(ModelError, match="no model"):
        models.load(store, "0" * 16)


def test_vectors_that_are_not_numbers_are_refused(reference: encoders.Encoder) -> None:
    reference.network.text_projection.data.fill_(float("nan"))
    with pytest.raises(ModelError, match="not numbers"):
        reference.texts(["dress"])


def test_bytes_that_are_no_jpeg_are_the_shops_trouble(encoder: encoders.Encoder) -> None:
    with pytest.raises(ShopError, match="cannot be decoded"):
        encoder.images([b"GIF89a..."])


# -------------------------------------------------------------------------------------------------------- identity


def test_a_registered_model_needs_its_file_no_more(tiny: Model, tmp_path: Path) -> None:
    store, file = open_store(str(tmp_path / "store")), tmp_path / "moved.safetensors"
    file.write_bytes(Path(tiny.weights).read_bytes())
    fingerprint = models.register(store, replace(tiny, weights=str(file)))
    file.unlink()
    assert models.register(store, replace(tiny, weights=str(file))) == fingerprint
    assert models.load(store, fingerprint, "cpu").texts(TITLES).shape == (len(TITLES), 16)
    with pytest.raises(ModelError, match="there is no file"):  # what the store has is no promise of other weights
        models.register(store, replace(tiny, weights=str(file), sha256="0" * 64))


def test_a_model_is_registered_once_on_either_ground(store: Store, tiny: Model) -> None:
    first = models.register(store, tiny)
    before = [(item.key, item.modified) for item in store.items()]
    assert models.register(store, tiny) == first
    assert [(item.key, item.modified) for item in store.items()] == before
    assert models.load(store, first, "cpu").fingerprint == first


def test_the_fingerprint_follows_all_that_vectors_depend_on_and_nothing_else(tiny: Model, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    same = {models.register(store, m) for m in (tiny, replace(tiny, name="other", licence="other", revision="1"))}
    assert len(same) == 1
    others = [replace(tiny, mean=(0.5, 0.5, 0.5)), replace(tiny, interpolation="bilinear"),
              replace(tiny, text="{title}"), random_model(tmp_path, seed=1)]  # fmt: skip
    assert len({models.register(store, m) for m in others} | same) == 1 + len(others)


def test_pinned_remote_weights_are_not_fetched_again(tiny: Model, tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    fingerprint = models.register(store, tiny)
    assert models.register(store, replace(tiny, weights="hf-hub:nobody/nothing")) == fingerprint


# --------------------------------------------------------------------------------------------------------- encoding


def test_short_texts_alone_equal_padded_ones(encoder: encoders.Encoder, reference: encoders.Encoder) -> None:
    """Leaving out the columns after the longest text changes nothing, in any company and order."""
    import torch

    texts = TITLES * 3
    with torch.inference_mode():
        features = reference.network.encode_text(torch.from_numpy(reference.tokenize(texts)))
        padded = torch.nn.functional.normalize(features, dim=-1).numpy()
    for backend in (encoder, reference):
        assert np.abs(backend.texts(texts) - padded).max() <= 1e-5
        assert np.abs(backend.texts(texts, batch_size=2) - padded).max() <= 1e-5


def test_towers_that_look_both_ways_get_the_whole_context(tiny: Model, tmp_path: Path) -> None:
    import torch

    both_ways = {"text_cfg": TINY["text_cfg"] | {"no_causal_mask": True, "pool_type": "last"}, "custom_text": True}
    model = replace(tiny, architecture=TINY | both_ways)
    reference = towers_torch.untrained(model)
    numbers = reference.tokenize(TITLES)
    with torch.inference_mode():
        assert np.array_equal(reference.read(numbers), reference.network.encode_text(torch.from_numpy(numbers)))
    file = tmp_path / "both.safetensors"
    both = replace(model, weights=str(file), sha256=towers_torch.save(reference, file))
    store = open_store(str(tmp_path / "store"))
    exported = models.load(store, models.register(store, both), "cpu")
    assert exported.network is None
    assert np.abs(exported.texts(TITLES) - towers_torch.read(both).texts(TITLES)).max() <= 1e-5


def test_pictures_do_not_depend_on_their_batch(encoder: encoders.Encoder) -> None:
    many = pictures(7)
    assert np.abs(encoder.images(many, batch_size=3) - encoder.images(many, batch_size=64)).max() <= 1e-5
    assert encoder.images([]).shape == (0, 16)
    assert encoder.texts([]).shape == (0, 16)


def test_fast_pictures_keep_their_vectors_or_are_exact(cache: Path, tiny: Model, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    fingerprint = models.register(store, tiny)
    exact = models.load(store, fingerprint, "cpu").images(pictures(8))
    quick = models.load(store, fingerprint, "cpu", fast=True).images(pictures(8))
    assert (quick * exact).sum(axis=1).min() >= towers_openvino.FAST_COSINE
    notes = list(cache.glob(f"pluribus/encoders/{fingerprint}-*/bf16-*.json"))
    if not notes:
        pytest.skip("this processor has no bfloat16")
    for note in notes:  # as for a network that loses too much by it; read, not tried again
        note.write_text(json.dumps({"cosine": 0.99}))
    assert (models.load(store, fingerprint, "cpu", fast=True).images(pictures(8)) == exact).all()
    for note in notes:
        note.write_text("{torn")
    assert (models.load(store, fingerprint, "cpu", fast=True).images(pictures(8)) == quick).all()


@pytest.mark.parametrize("resize", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [(90, 60), (60, 90), (32, 32), (20, 10), (300, 12)])
def test_pixels_are_open_clips_own(resize: str, size: tuple[int, int], tiny: Model) -> None:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    wave = np.sin(np.indices(size).sum(axis=0)[..., None] / np.array([3, 7, 15])) * 120 + 127
    picture = wave.astype(np.uint8)
    model = replace(tiny, resize=resize)
    theirs = image_transform_v2(
        PreprocessCfg(size=32, mean=model.mean, std=model.std, interpolation="bicubic", resize_mode=resize), False
    )(Image.fromarray(picture))
    ours = squares.to_square(picture, model)
    assert ours.shape == (32, 32, 3)
    levels = theirs.numpy().transpose(1, 2, 0) * model.std + model.mean
    assert np.abs(ours / 255 - levels).max() <= 1e-6
    for given in (picture, jpeg(picture)):
        by_torch, by_pil = (make(given, model) for make in (towers_torch.to_square, squares.to_square))
        assert by_torch.shape == (32, 32, 3)
        assert np.abs(by_torch.astype(int) - by_pil).max() <= 1


@pytest.mark.parametrize("to_square", [squares.to_square, towers_torch.to_square])
@pytest.mark.parametrize("bad", [b"", b"no picture", jpeg(np.zeros((9, 9, 3), np.uint8))[:300]])
def test_a_stored_picture_that_is_none(to_square: squares.ToSquare, bad: bytes, tiny: Model) -> None:
    with pytest.raises(ShopError, match="a stored picture cannot be decoded"):
        to_square(bad, tiny)


def test_jpeg_bytes_and_arrays_agree(encoder: encoders.Encoder) -> None:
    smooth = np.stack([np.add.outer(np.arange(64), np.arange(48))] * 3, axis=-1).astype(np.uint8)
    assert (encoder.images([smooth]) @ encoder.images([jpeg(smooth)]).T).item() > 0.999


def test_no_memory_halves_the_batch() -> None:
    import torch

    seen = []

    def features(batch: torch.Tensor) -> torch.Tensor:
        seen.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("too much")
        return batch * 2

    batch = torch.arange(7)[:, None]
    assert torch.equal(towers_torch._halving(features, batch), batch * 2)
    assert seen[0] == 7
    assert max(seen[2:]) <= 4


def test_a_cut_vocabulary_keeps_common_words_and_spells_rare_ones(tiny: Model) -> None:
    common, rare = tokens.make_tokenizer(tiny)(["the", "houndstooth"])
    assert int((common > 0).sum()) == 3  # start, word, end
    assert int((rare > 0).sum()) > 4


# --------------------------------------------------------------------------------------------------- foreign weights


def test_huggingface_weights_give_huggingface_vectors(tmp_path: Path) -> None:
    """FashionCLIP is published in this layout."""
    import torch

    transformers = pytest.importorskip("transformers")
    tower = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 128, "hidden_act": "quick_gelu"}
    config = transformers.CLIPConfig(
        text_config=tower | {"num_attention_heads": 4, "max_position_embeddings": 16, "vocab_size": 1014,
                             "eos_token_id": 1013},
        vision_config=tower | {"num_attention_heads": 4, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )  # fmt: skip
    torch.manual_seed(0)
    theirs = transformers.CLIPModel(config).eval()
    file = tmp_path / "hf.safetensors"
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in theirs.state_dict().items()}, file)
    architecture = {
        "embed_dim": 16, "quick_gelu": True, "text_cfg": TINY["text_cfg"] | {"heads": 4},
        "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 8},
    }  # fmt: skip
    model = Model(name="hf", weights=str(file), sha256="", width=16, licence="none", architecture=architecture,
                  layout="huggingface", image_size_px=32)  # fmt: skip
    encoder = towers_torch.read(model)
    numbers = torch.from_numpy(encoder.tokenize(["a red dress", "mug"]))
    levels = torch.stack([torch.tensor(squares.to_square(picture, model)).permute(2, 0, 1) for picture in pictures(2)])
    with torch.inference_mode():
        got = theirs(input_ids=numbers, pixel_values=towers_torch.to_input(levels, model))
    assert np.abs(encoder.texts(["a red dress", "mug"]) - got.text_embeds.numpy()).max() <= 1e-5
    assert np.abs(encoder.images(pictures(2)) - got.image_embeds.numpy()).max() <= 1e-5


def test_sentence_pieces_are_padded_to_the_whole_context(tmp_path: Path) -> None:
    """SigLIP's kind of tokenizer, from a tokenizer.json."""
    tokenizers = pytest.importorskip("tokenizers")
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁red", -1.0), ("▁dress", -1.0)]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    numbers = tokens.sentence_pieces(tmp_path / "tokenizer.json", 6)(["Red DRESS!", "dress"])
    assert numbers.tolist() == [[3, 4, 1, 1, 1, 1], [4, 1, 1, 1, 1, 1]]
