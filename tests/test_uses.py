"""Every use of a shop by library, command and service: the same answer.

The suite asks the demo shops. `make uses` asks the five real shops too: PLURIBUS_REAL names the store that `make real`
filled, and what the gate set aside there is published in a copy as an operator would, by force, which is recorded.
"""

import base64
import csv
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from services import SHOPS, Service
from typer.testing import CliRunner

from pluribus import classify, compare, demo, duplicates, explain, recommend, releases, render, search, suggest
from pluribus.cli import app
from pluribus.errors import ConfigError
from pluribus.search.terms import _child
from pluribus.store import open_store

ROOT = Path(__file__).parents[1]
REAL = tuple(sorted(file.stem for file in (ROOT / "config" / "real" / "shops").glob("*.toml")))


def running(store: str, shops: tuple[str, ...]) -> Iterator[Service]:
    service = Service(open_store(store), "--rate", "100000", "--timeout-s", "60", shops=shops)
    yield service
    service.close()


@pytest.fixture(scope="module")
def demo_service(demo_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("uses") / "store"
    shutil.copytree(demo_store, folder)
    yield from running(str(folder), SHOPS)
    _child()[0].close()  # the library's own reader of strangers' pictures, in this process


@pytest.fixture(scope="module")
def real_service(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Over a copy of the real shops' store, its files shared, in which every shop is live."""
    made = os.environ.get("PLURIBUS_REAL")
    if not made:
        pytest.skip("`make uses` asks the real shops: it names their store in PLURIBUS_REAL")
    folder = tmp_path_factory.mktemp("uses") / "real"
    shutil.copytree(made, folder, copy_function=os.link)
    store = open_store(str(folder))
    waiting = [shop for shop in REAL if releases.current(store.within(f"shops/{shop}"), shop=shop) is None]
    if waiting:
        command = [sys.executable, "-c", "from pluribus.cli import main; main()", "--config", str(ROOT / "config/real")]
        command += ["--store", store.url, "refresh", "--shops", ",".join(waiting), "--force", "every use is tried"]
        environment = {"PLURIBUS_DATA": str(data), "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(folder)}
        subprocess.run(command, check=True, env=os.environ | environment)
    yield from running(store.url, REAL)


@dataclass
class Asked:
    """One shop, by every way, and what it is asked about."""

    service: Service
    shop: str
    picture: Path  # as a stranger may bring one

    def told(self, path: str, **asked: Any) -> Any:
        """What the service says, of the release that the library opened."""
        answer = self.service.ask(self.shop, path, **asked)
        assert answer.status_code == 200, answer.text
        assert answer.json()["release"] == self.opened.release.manifest.release
        return answer.json()

    def said(self, verb: str, *arguments: str) -> Any:
        """What a verb says to machines."""
        done = CliRunner().invoke(app, ["--store", self.service.store.url, verb, self.shop, *arguments, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    @cached_property
    def opened(self) -> search.Searcher:
        return search.open(self.service.store, self.shop)

    @cached_property
    def row(self) -> dict[str, Any]:
        """A product in a category that others share, with a price and a picture where the shop has any."""
        rows, has_image = self.opened.products, self.opened.space.has_image
        said, has_price = rows["category"].to_pylist(), np.array(rows["price"].is_valid().to_pylist())
        n_of = Counter(said)
        fit = np.array([bool(name) and n_of[name] > 1 for name in said])
        for wanted in (has_image, has_price):
            fit &= wanted | ~wanted.any()
        places = np.flatnonzero(fit).tolist()
        product_id = rows["product_id"][places[len(places) // 2]].as_py()
        return self.opened.get([product_id])[0]

    @property
    def product_id(self) -> str:
        return str(self.row["product_id"])

    @property
    def limits(self) -> list[str]:
        """Filters that this product meets."""
        price = self.row["price"]
        return [f"category^={self.row['category'].split(' > ')[0]}", *([] if price is None else [f"price<={price}"])]

    @property
    def query(self) -> str:
        """What a shopper may type: the beginning of a title."""
        return " ".join(word for word in str(self.row["title"]).split()[:4] if word.isalnum())

    @cached_property
    def labels(self) -> list[str]:
        """The shop's most frequent categories."""
        leaves = [name.split(" > ")[-1] for name in self.opened.products["category"].to_pylist() if name]
        return [leaf for leaf, _ in Counter(leaves).most_common(8) if "," not in leaf]

    @cached_property
    def image(self) -> str:
        return base64.b64encode(self.picture.read_bytes()).decode()


@pytest.fixture(scope="module", params=[*SHOPS, *REAL])
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    service = request.getfixturevalue("demo_service" if request.param in SHOPS else "real_service")
    picture = tmp_path_factory.mktemp("picture") / "own.png"
    render.draw(next(iter(demo.catalog("outpost", n_products=2)[0].shots.values())), 160).save(picture)
    return Asked(service, request.param, picture)


def near(one: Any, other: Any) -> bool:
    """The same names in the same order with the same numbers, but for rounding. At least one."""
    one, other = list(one), list(other)
    names = [name for name, _ in one] == [name for name, _ in other]
    return bool(one) and names and all(abs(x - y) < 1e-3 for (_, x), (_, y) in zip(one, other, strict=True))


def of(hits: Any) -> list[tuple[str, float]]:
    """Hits of the library, the service or a verb as (product, score)."""
    rows = [hit if isinstance(hit, dict) else {"product_id": hit.product_id, "score": hit.score} for hit in hits]
    return [(row["product_id"], row["score"] if "score" in row else row["likeness"]) for row in rows]


def test_words(asked: Asked) -> None:
    found = of(asked.opened.query(asked.query, 7))
    assert near(of(asked.told("/search", query=asked.query, k=7)["hits"]), found)
    assert near(of(asked.said("search", asked.query, "-k", "7")), found)


def test_a_picture_with_words_under_filters_and_facets(asked: Asked) -> None:
    limits = asked.limits
    found = asked.opened.query([(asked.picture, 1.0), asked.query], 5, filters=limits)
    counts = asked.opened.facets(["availability", "brand"], filters=limits)
    told = asked.told("/search", image=asked.image, query=asked.query, k=5, filters=limits, facets=list(counts))
    assert near(of(told["hits"]), of(found))
    assert told["facets"] == counts
    options = ["--image", str(asked.picture), "-k", "5", "--facets", *(part for one in limits for part in ("-f", one))]
    said = asked.said("search", asked.query, *options)
    assert near(of(said["hits"]), of(found))
    assert {name: said["facets"][name] for name in counts} == counts


def test_weighted_terms(asked: Asked) -> None:
    words = f"{asked.query}:1, {asked.labels[0]}:-0.5"
    found = of(asked.opened.query(words, 5))
    assert near(of(asked.told("/search", query=words, k=5)["hits"]), found)
    assert near(of(asked.said("search", words, "-k", "5")), found)


def test_similar(asked: Asked) -> None:
    within = None if asked.row["price"] is None else 0.9
    limits: dict[str, Any] = {"filters": asked.limits[:1], "price_within": within}
    found = of(recommend.similar(asked.opened, asked.product_id, 4, **limits))
    assert near(of(asked.told("/similar", product_id=asked.product_id, k=4, **limits)["hits"]), found)
    options = ["-k", "4", "-f", *asked.limits[:1], *(["--price-within", str(within)] if within else [])]
    assert near(of(asked.said("similar", asked.product_id, *options)), found)


def test_similar_to_a_picture(asked: Asked) -> None:
    found = of(recommend.similar(asked.opened, picture=asked.picture, k=4))
    assert near(of(asked.told("/similar", image=asked.image, k=4)["hits"]), found)
    assert near(of(asked.said("similar", "--image", str(asked.picture), "-k", "4")), found)


@pytest.mark.parametrize("way", [{"more": "darker"}, {"start": "white {}", "end": "black {}"}], ids=" ".join)
def test_compare(asked: Asked, way: dict[str, str]) -> None:
    way = {name: text.format(compare.kind_of(asked.row)) for name, text in way.items()}
    path = compare.walk(asked.opened, asked.product_id, **way, same_category=False)
    told = asked.told("/compare", product_id=asked.product_id, **way, same_category=False)
    assert near(of(hit for step in told["steps"] for hit in step["hits"]), of(path.hits))
    named = {"more": "--more", "start": "--from", "end": "--to"}
    options = [word for name, text in way.items() for word in (named[name], text)]
    said = asked.said("compare", asked.product_id, *options, "--any-category")
    assert near(of(said[1:]), of(path.hits))
    assert said[0]["product_id"] == told["seed"]["product_id"] == asked.product_id


def test_classify_a_product_a_picture_and_a_text(asked: Asked) -> None:
    listed = lambda rows: [(row["label"], row["share"]) for row in rows]
    jpeg, labels = asked.picture.read_bytes(), ",".join(asked.labels)
    for library, service, command in (
        ({"product_id": asked.product_id}, {"product_id": asked.product_id}, [asked.product_id]),
        ({"what": [jpeg]}, {"image": asked.image}, ["--picture", str(asked.picture)]),
        ({"what": asked.query}, {"text": asked.query}, ["--text", asked.query]),
    ):
        found = [(one.label, one.share) for one in classify.labels(asked.opened, asked.labels, **library)]
        assert near(listed(asked.told("/classify", labels=asked.labels, **service)["labels"]), found)
        assert near(listed(asked.said("classify", *command, "--labels", labels)), found)


def test_tags_of_the_whole_catalog(asked: Asked, tmp_path: Path) -> None:
    table = classify.tag(asked.opened, asked.labels, sure=0.4)
    asked.said("tag", "--labels", ",".join(asked.labels), "--sure", "0.4", "--out", str(tmp_path / "tags.csv"))
    with (tmp_path / "tags.csv").open(encoding="utf-8-sig", newline="") as file:
        written = [row["label"] or None for row in csv.DictReader(file)]
    assert written == table["label"].to_pylist()
    assert len(written) == asked.opened.products.num_rows


def test_suspicious_products(asked: Asked) -> None:
    try:
        found = classify.suspects(asked.opened, most=5)
    except ConfigError as error:
        pytest.skip(str(error))  # a category of a small demo shop has too few products
    said = asked.said("classify", "--suspicious", "-k", "5")
    assert [(one["product_id"], one["rather"]) for one in said] == [(one.product_id, one.rather) for one in found]


def test_completions(asked: Asked) -> None:
    prefix = asked.row["category"].split(" > ")[-1][:2].lower()  # which completions always offer; titles they do not
    words = suggest.learn(asked.opened)
    found = [(one.text, one.score) for one in words.complete(prefix, 4, session=[asked.product_id])]
    told = asked.told(f"/suggest?q={quote(prefix)}&k=4&session={quote(asked.product_id)}")["completions"]
    assert near([(one["text"], one["score"]) for one in told], found)
    said = asked.said("suggest", prefix, "-k", "4", "--session", asked.product_id)
    assert near([(one["completion"], one["score"]) for one in said], found)


def test_why_a_product_was_found(asked: Asked) -> None:
    why = explain.why(asked.opened, asked.query, asked.product_id)
    said = asked.said("explain", asked.product_id, "--text", asked.query)["why"]
    assert said["rank"] == why.rank
    assert said["words"] == pytest.approx(dict(why.words), abs=1e-3)
    if asked.row["pictures"]:
        told = asked.told("/explain", product_id=asked.product_id, query=asked.query)
        assert told["rank"] == why.rank
        assert {one["word"]: one["brings"] for one in told["words"]} == pytest.approx(dict(why.words), abs=1e-3)


def test_where_words_are_seen_in_a_picture(asked: Asked) -> None:
    heat = explain.heat(asked.opened, asked.query, what=asked.picture)
    told = asked.told("/explain", image=asked.image, query=asked.query)
    assert np.abs(np.array(told["grid"]) - heat.grid).max() < 0.01
    assert abs(told["cosine"] - heat.cosine) < 1e-3
    assert base64.b64decode(told["overlay"]).startswith(b"\x89PNG")
    said = asked.said("explain", "--picture", str(asked.picture), "--text", asked.query)
    assert abs(said["seen"]["cosine"] - heat.cosine) < 1e-3
    assert (said["seen"]["x"], said["seen"]["y"]) == pytest.approx(heat.peak)


def test_a_map(asked: Asked) -> None:
    drawn, said = explain.concept_map(asked.opened, most=60), asked.said("map", "--most", "60")
    assert said["points"] == [vars(point) for point in drawn.points]
    assert said["silhouette"] == drawn.silhouette


def test_duplicates(asked: Asked) -> None:
    found = duplicates.find(asked.opened, least=0.8, most=5)
    said = asked.said("duplicates", "--least", "0.8", "--most", "5")
    assert [(one["product_id"], one["other_id"], one["score"]) for one in said] == [
        (twins.product_id, twins.other_id, round(twins.score, 4)) for twins in found
    ]


def test_a_product_is_the_row_that_the_shop_delivered(asked: Asked) -> None:
    wanted = json.loads(json.dumps(asked.row, default=str))
    assert asked.told(f"/products/{quote(asked.product_id)}")["product"] == wanted
    assert asked.said("products", asked.product_id)[0]["title"] == asked.row["title"]


def test_what_is_live(asked: Asked) -> None:
    told, manifest = asked.told(""), asked.opened.release.manifest
    assert (told["products"], told["trouble"]) == (manifest.facts["products"], "")
    assert asked.said("releases")[0]["release"] == manifest.release
