"""Generated products: only what others see in them is kept, they say what they are, and they judge nobody."""

import io
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from pluribus import generate, ingest, models, settings, tables
from pluribus.errors import ConfigError, ModelError
from pluribus.generate import Grid, Wish, checks, diffusion, renderer
from pluribus.schemas import GENERATED
from pluribus.store import open_store
from pluribus.train import gather, splits
from pluribus.train.splits import TEST, TRAIN, Thing

KINDS, COLOURS = ("mug", "dress", "backpack"), ("red", "dark blue", "light green")


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The embedded model, as the judge."""
    store = open_store(str(tmp_path_factory.mktemp("store")))
    model = settings.load(str(Path(__file__).parents[1] / "config")).model("mini")
    encoder = models.load(store, models.register(store, model))
    return SimpleNamespace(model=model, images=encoder.images, texts=encoder.texts)


def grid(seed: int = 0) -> Grid:
    return Grid.of(KINDS, COLOURS, seed=seed)


def test_what_is_accepted_is_what_was_asked_and_comes_again(mini: Any) -> None:
    one, other = (generate.generate(renderer.load(), grid(), mini, n=12) for _ in range(2))
    assert len(one.accepted) == 12 <= one.drawn
    assert one.accepted == other.accepted, "the same seed, other pictures"
    assert len({wish.seed for wish, _ in one.accepted}) == 12
    assert {wish.kind for wish, _ in one.accepted} == set(KINDS)


@pytest.mark.parametrize(("attribute", "lie"), [("colour", {"colour": "orange"}), ("kind", {"kind": "guitar"})])
def test_a_generator_that_draws_something_else_gets_nothing_accepted(
    mini: Any, attribute: str, lie: dict[str, str]
) -> None:
    honest = renderer.load()

    def draw(batch: Sequence[Wish]) -> list[Image.Image]:
        return honest.draw([replace(wish, **lie) for wish in batch])

    found = generate.generate(replace(honest, draw=draw), grid(), mini, n=32, most=64)
    assert len(found.accepted) <= 3
    assert found.refused[attribute] >= 58


def test_nothing_at_all_in_a_picture_has_no_colour() -> None:
    assert checks.colours(checks.jpeg(Image.new("RGB", (64, 64), "white"))) == []


def test_nobody_judges_their_own_pictures(mini: Any) -> None:
    own = replace(renderer.load(), weights=frozenset({mini.model.sha256}))
    with pytest.raises(ConfigError, match="expected another model as the judge"):
        generate.generate(own, grid(), mini, n=1)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Grid.of([" "], COLOURS), "no kind to draw"),
        (lambda: renderer.load().draw([Wish("dragon", "red", "plain", 0)]), "draws no kind 'dragon'"),
        (lambda: renderer.load("weights"), "the renderer has no weights"),
        (lambda: diffusion.load(""), "no pipeline at"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(make: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make()


def test_without_its_extra_the_diffusion_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ConfigError, match=r"pip install 'pluribus\[generate\]'"):
        diffusion.load(str(tmp_path))


def test_files_rows_and_pictures_say_who_drew_them_through_ingestion(mini: Any, tmp_path: Path) -> None:
    made = renderer.load()
    found = generate.generate(made, grid(), mini, n=8)
    feed = generate.write(tmp_path / "drawn", made, grid(), found)
    with pytest.raises(ConfigError, match="there are products in"):
        generate.write(tmp_path / "drawn", made, grid(), found)
    first = json.loads(feed.read_text().splitlines()[0])
    with Image.open(tmp_path / "drawn" / "pictures" / first["image"]) as picture:
        said = json.loads(picture.info["comment"])
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(Image.open(io.BytesIO(found.accepted[0][1]))))
    assert said == first
    assert first[GENERATED] == made.mark
    assert {"prompt", "seed"} <= first.keys()
    assert json.loads((tmp_path / "drawn" / "generated.json").read_text())["products"] == 8

    own = open_store(str(tmp_path / "store")).within("shops/drawn")
    shop = settings.parse_shop((tmp_path / "drawn" / "shop.toml").read_bytes(), "drawn.toml")
    taken = ingest.ingest(own, feeds=shop.feeds, images=shop.images, limits=shop.limits, now=datetime.now(UTC))
    rows = gather.examples(tables.local(own, ingest.rows_key(taken.id)), shop="drawn", model=mini.model)
    assert rows["generator"].to_pylist() == [made.mark] * 8


def things(n: int, generator: str, shop: str = "a") -> list[Thing]:
    return [Thing(shop=shop, product_id=f"{generator}{i}", pictures=(f"{generator}{i}",), category="mug",
                  brand="Kiln", generator=generator) for i in range(n)]  # fmt: skip


def test_generated_products_teach_and_never_judge() -> None:
    real, drawn = things(200, ""), things(200, "renderer 1")
    found = splits.split([*real, *drawn])
    assert set(found[:200]) == {TRAIN, splits.VALID, TEST}
    assert found[:200] == splits.split(real), "what was generated moved what shops sell"
    assert set(found[200:]) == {TRAIN}


def test_a_generated_picture_of_a_judged_product_is_left_out() -> None:
    real = things(200, "")
    found = splits.split(real)
    judged = found.index(TEST)
    copy = replace(real[judged], product_id="x", generator="renderer 1")
    assert splits.split([*real, copy])[-1] == splits.LEFT_OUT
    taught = replace(real[found.index(TRAIN)], product_id="x", generator="renderer 1")
    assert splits.split([*real, taught])[-1] == TRAIN


@pytest.mark.parametrize("held", [{"held_categories": ["vase"]}, {"held_brands": ["Ostwind"]}, {"held_shops": ["b"]}])
def test_nothing_is_generated_for_what_is_held_out(held: dict[str, list[str]]) -> None:
    other = {"category": "vase", "brand": "Ostwind", "shop": "b"}
    real = [*things(200, ""), *(replace(thing, **other, product_id=f"v{n}", pictures=(f"v{n}",))
                                for n, thing in enumerate(things(40, "")))]  # fmt: skip
    drawn = [replace(thing, **other) for thing in things(40, "renderer 1")]
    found = splits.split([*real, *drawn], **held)
    assert set(found[240:]) == {splits.LEFT_OUT}
    assert TRAIN not in found[200:240]


def test_a_held_out_shop_of_generated_products_is_refused() -> None:
    with pytest.raises(ConfigError, match="shop b has only generated products"):
        splits.split([*things(200, ""), *things(40, "renderer 1", "b")], held_shops=["b"])


def test_examples_in_the_wrong_split_are_refused_where_they_would_judge() -> None:
    row = {"shop": "a", "product_id": "1", "group_id": "", "title": "mug", "category": "", "brand": "", "captions": [],
           "pictures": ["p"], "generator": "renderer 1", "split": TEST}  # fmt: skip
    with pytest.raises(ConfigError, match="generated products in TEST"):
        gather.of_split(pa.Table.from_pylist([row], schema=gather.EXAMPLE), TEST)


@pytest.mark.filterwarnings("ignore")
def test_a_pipeline_of_random_weights_draws_the_same_twice_and_only_from_its_folder(tmp_path: Path) -> None:
    pytest.importorskip("diffusers", reason="pip install 'pluribus[generate]'")
    tiny_pipeline(tmp_path)
    made, again = diffusion.load(str(tmp_path), steps=2), diffusion.load(str(tmp_path), steps=2)
    wanted = [Wish("mug", "red", "plain", seed) for seed in (1, 2)]
    one, other = (np.stack([np.asarray(picture) for picture in of.draw(wanted)]) for of in (made, again))
    np.testing.assert_array_equal(one, other)
    assert (one[0] != one[1]).any(), "another seed, the same picture"
    assert made.digest == again.digest != diffusion.load(str(tmp_path), steps=3).digest
    (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        diffusion.load(str(tmp_path))


def tiny_pipeline(folder: Path) -> None:
    """Stable Diffusion's parts, each as small as they come, with random weights."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    letters = [chr(code) for code in range(33, 127)]
    ends = ["<|startoftext|>", "<|endoftext|>"]
    words = {word: n for n, word in enumerate([*letters, *(f"{letter}</w>" for letter in letters), *ends])}
    (folder / "vocab.json").write_text(json.dumps(words))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=words[ends[0]],
        eos_token_id=words[ends[1]],
        pad_token_id=words[ends[1]],
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=2,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
    )
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77),
        unet=unet,
        scheduler=DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(str(folder))
