"""Search: what is asked reaches the products, filters hold exactly, scores say what they are made of."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from pluribus import indexes, search
from pluribus.errors import ConfigError
from pluribus.records import Index
from pluribus.search import Searcher, filters, terms


@pytest.fixture(scope="module")
def atelier(demo_store: str) -> Searcher:
    return search.open(demo_store, "atelier")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("red dress", [("red dress", 1.0)]),
        ("red, blue", [("red, blue", 1.0)]),
        ("red dress:1, floral:-0.5", [("red dress", 1.0), ("floral", -0.5)]),
        ("red  dress, floral: -.5 ", [("red dress", 1.0), ("floral", -0.5)]),
        ("screen 16:9", [("screen 16:9", 1.0)]),
        ("size: 9", [("size", 9.0)]),
        ("size:38", [("size:38", 1.0)]),
        ("red dress:1, ean:4006381333931", [("red dress", 1.0), ("ean:4006381333931", 1.0)]),
        ("a:b", [("a:b", 1.0)]),
    ],
)
def test_words_and_weights_are_read_as_they_are_typed(text: str, said: list[tuple[str, float]]) -> None:
    assert [(term.said, term.weight) for term in terms(text)] == said


@pytest.mark.parametrize(
    "what",
    [
        "",
        "  ",
        {},
        {"x": float("nan")},
        {"x": 11},
        {"x": True},
        [("x", -1)],
        7,
        [("x", "1")],
        ["a"] * 17,
        "a" * 2000,
        "a" + " " * 990 + "b" * 9_999,
        "a\ud800",
    ],
)
def test_a_question_that_cannot_be_meant_is_one_line(what: object) -> None:
    with pytest.raises(ConfigError, match="expected"):
        terms(what)


def test_terms_that_cancel_out_are_refused(atelier: Searcher) -> None:
    with pytest.raises(ConfigError, match="cancel"):
        atelier.query({"red dress": 1.0, "red dress ": -1.0})


def test_the_parts_sum_to_the_score_and_the_picture_and_text_parts_to_the_index_s_own(atelier: Searcher) -> None:
    for hit in atelier.query("striped shirt", 10):
        assert set(hit.parts) == {"image", "text", "lexical"}
        assert hit.score == pytest.approx(sum(hit.parts.values()), abs=1e-6)
    hits = atelier.query("striped shirt", 5, hybrid=0.0, collapse=False)
    scores, places = indexes.search(atelier.index, atelier.encoder.texts(["striped shirt"]), 5)
    assert [atelier.places[hit.product_id] for hit in hits] == places[0].tolist()
    np.testing.assert_allclose([hit.score for hit in hits], scores[0], atol=2e-3)


def test_a_product_s_picture_finds_it_however_it_is_given(atelier: Searcher, demo_store: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (40, 30, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    (tmp_path / "x.png").write_bytes(buffer.getvalue())
    found = [
        [hit.product_id for hit in atelier.query(what, 5)]
        for what in (image, pixels, buffer.getvalue(), tmp_path / "x.png")
    ]
    assert found[0] == found[1]
    assert found[2] == found[3]
    assert len(set(found[0]) & set(found[2])) >= 4  # our JPEG of it is nearly it


@pytest.mark.parametrize("what", [b"GIF89a no", b"", b"\xff\xd8\xff", Path("nowhere.jpg")])
def test_bytes_that_are_no_picture_are_one_line(atelier: Searcher, what: object) -> None:
    with pytest.raises(ConfigError, match="picture"):
        atelier.query(what)


def test_a_negative_term_pushes_away(atelier: Searcher) -> None:
    plain = atelier.query("dress", 10, collapse=False)
    without = atelier.query({"dress": 1.0, plain[0].title: -1.0}, 10, collapse=False)
    assert plain[0].product_id != without[0].product_id


def test_how_large_weights_are_says_nothing_only_how_they_compare(atelier: Searcher) -> None:
    for said in ("dress", "jacket with hood", "spaghetti dress"):
        plain = [(hit.product_id, round(hit.score, 4)) for hit in atelier.query(said)]
        for weight in (0.2, 5):
            assert [(hit.product_id, round(hit.score, 4)) for hit in atelier.query({said: weight})] == plain
    both = [hit.product_id for hit in atelier.query({"dress": 1, "floral": -0.5})]
    assert [hit.product_id for hit in atelier.query({"dress": 4, "floral": -2})] == both


def test_a_product_is_found_by_its_own_id(atelier: Searcher) -> None:
    for product_id in atelier.products["product_id"].to_pylist()[:5]:
        for typed in (product_id, product_id.lower(), f" {product_id} "):
            assert atelier.query(typed, 1, collapse=False)[0].product_id == product_id


@pytest.mark.parametrize("brand", ["ΖΑΡΑΣ", "İpekyol", "STRAẞE", "Ångström"])
def test_a_filter_of_another_script_holds_however_it_is_written(brand: str) -> None:
    of = pa.table({"brand": [brand, "other"]})
    for said in {brand, brand.upper()}:
        assert filters.mask(of, [f"brand={said}"]).tolist() == [True, False]
        assert filters.mask(of, [f"brand!={said}"]).tolist() == [False, True]


def test_filters_hold_exactly_and_all_that_meet_them_come_back(atelier: Searcher) -> None:
    rows = atelier.products.to_pylist()
    paid = {row["product_id"]: row["sale_price"] or row["price"] for row in rows}  # some have no price at all
    middle = float(np.median([price for price in paid.values() if price]))
    cheap = {product_id for product_id, price in paid.items() if price and price < middle}
    hits = atelier.query("dress", 1000, filters=[f"price<{middle}"], collapse=False)
    assert {hit.product_id for hit in hits} == cheap
    one = next(row for row in rows[17:] if row["price"] and not row["sale_price"])
    exact = [
        f"price={one['price']}",
        f"brand={one['brand'].upper()}",
        f"category={one['category']}",
        f"product_id={one['product_id']}",
    ]
    assert [hit.product_id for hit in atelier.query("boots", 5, filters=exact)] == [one["product_id"]]
    top = one["category"].split(" > ")[0]
    beneath = atelier.query("boots", 1000, filters=[f"category^={top}"], collapse=False)
    assert {hit.product_id for hit in beneath} == {
        r["product_id"] for r in rows if r["category"].startswith(top + " > ")
    }
    assert not atelier.query("boots", 5, filters=[f"category^={top[:-1]}"])
    tight = one["category"].replace(" > ", ">")
    assert atelier.query("boots", 5, filters=[f"category={tight}"])


def test_ticked_values_of_one_field_are_alternatives_and_fields_add_up(atelier: Searcher) -> None:
    brands = list(atelier.facets(["brand"])["brand"])[:2]
    hits = atelier.query(
        "dress", 1000, filters=[f"brand={b}" for b in brands] + ["availability=in_stock"], collapse=False
    )
    rows = atelier.products.to_pylist()
    assert {h.product_id for h in hits} == {
        r["product_id"] for r in rows if r["brand"] in brands and r["availability"] == "in_stock"
    }


def test_what_else_the_shop_delivered_can_be_filtered(atelier: Searcher) -> None:
    hits = atelier.query("dress", 1000, filters=["g:pattern=striped"], collapse=False)
    assert hits
    assert all(hit.product["extra"]["g:pattern"] == "striped" for hit in hits)


@pytest.mark.parametrize(
    "text",
    ["price", "price<", "<5", "price<cheap", "price~=4", "nothing=1", "brand", "x" * 2000, " " * 1000, "brand=\ud800"],
)
def test_a_filter_that_means_nothing_is_one_line(atelier: Searcher, text: str) -> None:
    with pytest.raises(ConfigError):
        atelier.query("dress", filters=[text])


def test_variants_are_one_hit_and_are_counted(atelier: Searcher) -> None:
    hits = atelier.query("dress", 1000)
    groups = [hit.product["group_id"] or hit.product_id for hit in hits]
    assert len(set(groups)) == len(groups) < atelier.products.num_rows
    assert sum(hit.variants for hit in hits) == atelier.products.num_rows
    best = {
        g: max(
            h.score
            for h in atelier.query("dress", 1000, collapse=False)
            if (h.product["group_id"] or h.product_id) == g
        )
        for g in groups[:3]
    }
    assert [hit.score for hit in hits[:3]] == pytest.approx([best[g] for g in groups[:3]])


def test_diversity_spreads_the_hits_and_keeps_the_first(atelier: Searcher) -> None:
    def likeness(hits: list[search.Hit]) -> float:
        of = atelier.space.fused[atelier.rows([hit.product_id for hit in hits])].astype(np.float32)
        return float((of @ of.T).mean())

    alike, spread = atelier.query("dress", 6), atelier.query("dress", 6, diversity=0.6)
    assert spread[0].product_id == alike[0].product_id
    assert likeness(spread) < likeness(alike)


def test_facets_count_what_the_filters_leave(atelier: Searcher) -> None:
    rows = [row for row in atelier.products.to_pylist() if row["availability"] == "in_stock"]
    counted = atelier.facets(["brand", "colour"], filters=["availability=in_stock"])
    brands = [row["brand"] for row in rows]
    assert counted["brand"] == {brand: brands.count(brand) for brand in set(brands)}
    assert list(counted["colour"].values()) == sorted(counted["colour"].values(), reverse=True)


def test_large_selections_through_inverted_lists_are_exact(atelier: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a filter leaves is found whole by an approximate index too, when it is too much to score one by one."""
    from pluribus.search import ranking

    of = atelier.space.fused.astype(np.float32)
    built = indexes.build(Index(kind="ivf", recall_at_10=0.0), of, queries={})
    (path := Path(str(atelier.release.path("index.faiss")) + "-ivf")).write_bytes(built.data)
    shop = replace(atelier, index=indexes.load(path, width=of.shape[1], n=len(of)))
    exact = shop.query("dress", 20, filters=["availability=in_stock"], hybrid=0.0)
    monkeypatch.setattr(ranking, "SMALL", 0)
    monkeypatch.setattr(ranking, "POOL", 1)
    assert [h.product_id for h in shop.query("dress", 20, filters=["availability=in_stock"], hybrid=0.0)] == [
        h.product_id for h in exact
    ]


@pytest.mark.parametrize("options", [{"k": 0}, {"k": 10**9}, {"hybrid": 2.0}, {"diversity": float("nan")}])
def test_an_option_that_means_nothing_is_one_line(atelier: Searcher, options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        atelier.query("dress", **options)  # type: ignore[arg-type]


def test_a_shop_without_any_match_answers_nothing_and_only_then(atelier: Searcher) -> None:
    def shop(cosine: float) -> Searcher:
        made = replace(atelier)
        made.__dict__["cutoff"] = cosine
        return made

    nearest = atelier.query("zzz", 1, hybrid=0.0, cutoff=False)[0].score
    assert shop(nearest + 0.01).query("zzz") == []
    assert shop(nearest - 0.01).query("zzz")
    assert shop(nearest + 0.01).query("zzz", cutoff=False)
    assert shop(2.0).query("dress"), "whose word the shop has, it has"
    assert shop(2.0).query("dress", hybrid=0.0), "also when words do not rank"
    assert "dress" in shop(2.0).query("drses")[0].title.lower(), "a slip is forgiven"
    assert shop(2.0).query(Image.new("RGB", (30, 30))), "the cut-off is of words"


def test_rows_that_a_caller_changes_stay_as_they_are(atelier: Searcher) -> None:
    first = atelier.query("dress", 3)
    first[0].product["title"] = "changed"
    assert atelier.query("dress", 3)[0].product["title"] == first[0].title
