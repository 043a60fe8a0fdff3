"""How mini is taught: nothing of the exam is among it."""

from pathlib import Path

import numpy as np

from pluribus import mini, render
from pluribus.mini import lessons
from pluribus.records import Score
from pluribus.render.surfaces import PATTERN_WORDS


def test_one_in_twenty_compositions_is_kept_out_of_the_drawings() -> None:
    items = [render.sample("home", seed) for seed in range(1000)]
    kept_out = [item for item in items if lessons.held_out(item)]
    assert 20 < len(kept_out) < 90
    squares, taught = lessons.drawn_products("home", 0, 200, 16)
    assert squares.shape == (len(taught), 3, 16, 16)
    assert [item for _, item in taught] == [item for item in items[:200] if not lessons.held_out(item)]


def test_lessons_on_properties_name_one_at_a_time() -> None:
    """Else the colour answers for the pattern again."""
    hues = {word for colour in render.COLOURS for word in render.colour(colour).words}
    for seed in range(50):
        item = render.sample("fashion", seed)
        said = lessons.property_captions(item, seed)
        coloured = {caption for caption in said if hues & set(caption.split())}
        assert 1 <= len(coloured) < len(said) / 2
        assert not any(word in caption for caption in coloured for word in PATTERN_WORDS[item.pattern])
        assert any(PATTERN_WORDS[item.pattern][0] in caption for caption in set(said) - coloured)


def test_equal_products_share_their_plain_captions() -> None:
    """Only so can training know that one's picture is no wrong answer to the other's caption."""
    item = render.sample("fashion", 5)
    one, other = lessons.captions(item, 1), lessons.captions(item, 2)
    assert {render.caption(item, style) for style in render.CAPTIONS} <= set(one) & set(other)


def test_a_sport_title_loses_its_size_and_keeps_its_colour() -> None:
    row = {"name": "Chaz Kangeroo Hoodie-XS-Black", "additional_attributes": "size=XS,color=Black"}
    said = list(lessons._sport_captions(row))
    assert said[:3] == ["Chaz Kangeroo Hoodie", "hoodie", "Chaz Kangeroo Hoodie Black"]


def test_pictures_come_as_the_model_wants_them(data: Path) -> None:
    from pluribus.records import Model

    model = Model(name="m", weights="", sha256="", width=16, licence="", architecture="", image_size_px=24)
    sportswear = lessons.sportswear(model, data)
    assert sportswear.squares.shape == (675, 3, 24, 24)
    assert sportswear.squares.dtype == np.uint8
    assert len(sportswear.captions) == 675


def test_the_card_is_filled_in_again_and_again(tmp_path: Path) -> None:
    card = tmp_path / "card.md"
    card.write_text(f"before\n{mini.MARK}\nold\n{mini.MARK}\nafter\n")
    score = Score(name="exam", value=0.5, n=10, low=0.4, high=0.6, chance=0.1)
    for seed in ("1", "2"):
        mini.fill_in(card, {"seed": seed}, [score])
    text = card.read_text()
    assert text.startswith(f"before\n{mini.MARK}\n")
    assert text.endswith(f"{mini.MARK}\nafter\n")
    assert "| seed | 2 |" in text
    assert "| seed | 1 |" not in text
    assert "old" not in text
    assert "| exam | **0.500** | 0.400 to 0.600 | 0.100 | 10 |" in text
