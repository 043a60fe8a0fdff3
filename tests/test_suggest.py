"""Type-ahead: completions begin as typed, popular ones and those near the session come first, nothing odd gets in."""

from pathlib import Path

import numpy as np
import pytest

from pluribus import search, suggest
from pluribus.errors import ConfigError
from pluribus.search import Searcher
from pluribus.suggest import Suggester


@pytest.fixture(scope="module")
def atelier(demo_store: str) -> Searcher:
    return search.open(demo_store, "atelier")


@pytest.fixture(scope="module")
def words(atelier: Searcher) -> Suggester:
    return suggest.learn(atelier)


def texts(found: list[suggest.Completion]) -> list[str]:
    return [completion.text for completion in found]


def test_every_completion_of_a_prefix_and_no_other_begins_one_of_its_words_so(words: Suggester) -> None:
    for prefix in ("d", "DR", "red d", "striped c", "é"):
        small = suggest._key(prefix, trailing=True)
        expected = {
            text for text in words.texts if any(s.startswith(small) for s in suggest._suffixes(suggest._key(text)))
        }
        assert set(texts(words.complete(prefix, 10_000))) == expected
    assert words.complete("zzz") == []


def test_without_a_session_the_popular_come_first(words: Suggester) -> None:
    found = words.complete("", 20)
    assert [c.popularity for c in found] == sorted((c.popularity for c in found), reverse=True)
    assert sum(words.popularity) == pytest.approx(1)


def test_what_was_looked_at_moves_its_own_kind_up(words: Suggester, atelier: Searcher) -> None:
    rows = atelier.products.to_pylist()
    moved = 0
    for row in rows[::7]:
        leaf = row["category"].split(" > ")[-1].lower()
        plain, near = (texts(words.complete("", len(words.texts), session=s)) for s in ((), [row["product_id"]]))
        assert sorted(plain) == sorted(near)
        moved += near.index(leaf) <= plain.index(leaf)
    assert moved >= 0.9 * len(rows[::7])


def test_products_that_are_gone_count_for_nothing(words: Suggester) -> None:
    assert words.complete("d", session=["no such product"]) == words.complete("d")


def test_what_shoppers_typed_comes_before_what_the_shop_says(atelier: Searcher) -> None:
    learned = suggest.learn(
        atelier, {"Red  gown": 30, "red shoes for work": 3, "x" * 200: 99, "red\nline": 99, "": 5, "never": 0}
    )
    assert texts(learned.complete("re", 2)) == ["Red gown", "red shoes for work"]
    assert not {"x" * 200, "red\nline", "", "never"} & set(learned.texts)
    known = learned.texts.index("red shoes for work")
    assert np.linalg.norm(learned.vectors[known]) == pytest.approx(1, abs=1e-3), "products that say it stand for it"


def test_a_log_that_a_spreadsheet_saved_is_read_from_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("red dress,3\nboots,1\n", encoding="utf-8-sig")
    assert suggest.read_log(path) == {"red dress": 3.0, "boots": 1.0}


def test_spellings_of_one_query_count_together(atelier: Searcher) -> None:
    for log in ({"Red gown": 100, "red gown": 1, "red boots": 50}, {"red gown": 1, "red boots": 50, "Red gown": 100}):
        best = suggest.learn(atelier, log).complete("red", 1)
        assert texts(best) == ["Red gown"]


@pytest.mark.parametrize("count", ["inf", "nan", "many"])
def test_a_log_may_name_its_columns_and_counts_in_numbers(count: str, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("query,count\nred dress,3\n")
    assert suggest.read_log(path) == {"red dress": 3.0}
    path.write_text(f"query,count\nred dress,3\nboots,{count}\n")
    with pytest.raises(ConfigError, match="after 1 queries: could not"):
        suggest.read_log(path)


def test_accents_case_and_a_trailing_space_are_understood(atelier: Searcher) -> None:
    learned = suggest.learn(atelier, {"Café chair": 5, "cafeteria": 9})
    assert texts(learned.complete("CAFE", 2)) == ["cafeteria", "Café chair"]
    assert texts(learned.complete("café ", 2)) == ["Café chair"]


def test_a_shop_without_words_has_no_completions(atelier: Searcher) -> None:
    from dataclasses import replace

    import pyarrow as pa

    blank = atelier.products
    for name in ("title", "category", "brand", "colour", "material", "gender"):
        blank = blank.set_column(blank.schema.get_field_index(name), name, pa.nulls(blank.num_rows, pa.string()))
    assert suggest.learn(replace(atelier, products=blank)).complete("") == []


@pytest.mark.parametrize(("prefix", "k"), [("a", 0), ("a" * 500, 5)])
def test_nonsense_is_one_line(words: Suggester, prefix: str, k: int) -> None:
    with pytest.raises(ConfigError, match="expected"):
        words.complete(prefix, k)
