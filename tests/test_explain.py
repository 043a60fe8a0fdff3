"""Explanations: heat lies where the thing is, parts sum to the score, a map holds every product once."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pluribus import explain, render, search
from pluribus.errors import ConfigError
from pluribus.explain.grounding import _scaled
from pluribus.render.colours import colour
from pluribus.search import Searcher


@pytest.fixture(scope="module")
def atelier(demo_store: str) -> Searcher:
    return search.open(demo_store, "atelier")


def side_by_side(left: str, right: str) -> np.ndarray:
    """Two plain products in one picture."""
    drawn = [
        render.draw(render.Item(kind=kind, colour=colour(c)), 128)
        for c, kind in (s.rsplit(" ", 1) for s in (left, right))
    ]
    return np.concatenate([np.asarray(picture) for picture in drawn], axis=1)


@pytest.mark.parametrize("method", explain.METHODS)
@pytest.mark.parametrize("words", [("red boot", "blue handbag"), ("yellow shirt", "black watch")])
def test_heat_lies_on_the_product_that_is_named(atelier: Searcher, method: str, words: tuple[str, str]) -> None:
    picture = side_by_side(*words)
    left, right = (explain.heat_of(atelier.encoder, picture, said, method=method) for said in words)
    assert left.peak[0] < 0.5 < right.peak[0]
    for heat in (left, right):
        assert heat.grid.min() >= 0
        assert heat.grid.max() == 1


def test_a_flat_map_stays_cold() -> None:
    assert not _scaled(np.full((14, 14), 0.3)).any()


def test_a_product_s_picture_comes_back_under_its_heat(atelier: Searcher) -> None:
    first = atelier.products["product_id"][0].as_py()
    heat = explain.heat(atelier, "shirt", product_id=first)
    with Image.open(io.BytesIO(heat.overlay())) as image:
        assert image.format == "PNG"
        assert image.size == heat.picture.shape[1::-1]
    with pytest.raises(ConfigError, match="picture 9"):
        explain.heat(atelier, "shirt", product_id=first, nth=9)


def test_why_a_product_was_found(atelier: Searcher) -> None:
    hit = atelier.query("red dress", 1, cutoff=False)[0]
    why = explain.why(atelier, "red dress", hit.product_id)
    assert why.rank == 1
    assert sum(why.hit.parts.values()) == pytest.approx(why.hit.score, abs=1e-5)
    assert [word for word, _ in why.words] == ["red", "dress"]


def test_the_nearest_concepts_are_of_the_shop_or_as_asked(atelier: Searcher) -> None:
    first = atelier.products["product_id"][0].as_py()
    assert {concept.kind for concept in explain.concepts(atelier, product_id=first)} <= {
        "category",
        "colour",
        "material",
    }
    asked = explain.concepts(atelier, ["boot", "dress"], what="a red dress")
    assert [(concept.word, concept.kind) for concept in asked] == [("dress", "asked"), ("boot", "asked")]


def test_a_map_holds_every_product_once_and_repeats_itself(atelier: Searcher) -> None:
    drawn = explain.concept_map(atelier)
    assert {point.product_id for point in drawn.points} == set(atelier.places)
    assert drawn == explain.concept_map(atelier)
    assert drawn.silhouette is not None
    found = explain.concept_map(atelier, ["red dress", "boot"])
    assert {point.group for point in found.points} <= {"red dress", "boot"}


def test_an_improbable_picture_is_believed_for_what_it_is_and_not_for_its_parts(
    atelier: Searcher, tmp_path: Path
) -> None:
    file = tmp_path / "upload.png"
    render.draw(render.Item(kind="surfboard", colour=colour("red")), 160).save(file)  # no shop of fashion has one
    sold = str(atelier.products["title"][int(np.flatnonzero(atelier.space.has_image)[0])].as_py())
    rivals = [sold, "a blue surfboard", "a blue dress"]
    found = explain.improbable(atelier, file, "a red surfboard", rivals)
    assert found.believed
    assert (found.right.place, found.right.before) == (1, "")
    assert found.gallery == 1 + int(atelier.space.has_image.sum())
    assert found.rivals[0].place > 1 and atelier.get([found.rivals[0].before])
    swapped = explain.improbable(atelier, file, "a blue dress", ["a red surfboard"])
    assert not swapped.believed
    assert swapped.margin == pytest.approx(found.rivals[2].cosine - found.right.cosine)


@pytest.mark.parametrize(
    ("phrase", "rivals"), [("a mug", []), (" ", ["a mug"]), ("a mug", ["a  mug"]), ("a mug", [""])]
)
def test_a_phrase_without_rivals_proves_nothing(atelier: Searcher, phrase: str, rivals: list[str]) -> None:
    with pytest.raises(ConfigError, match="others that are not it"):
        explain.improbable(atelier, Image.new("RGB", (64, 64)), phrase, rivals)
