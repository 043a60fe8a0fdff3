"""The benchmark: models on data sets as a user runs it, and every way a data set can be wrong."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleets import Fleet
from PIL import Image
from sklearn.metrics import f1_score
from test_flow import card_text

from pluribus import metrics, models, releases, render, settings, texts
from pluribus.benchmark import measuring, published, sets, tables
from pluribus.demo import catalog
from pluribus.errors import ConfigError, ReleaseError
from pluribus.models.encoders import Encoder
from pluribus.store import open_store
from pluribus.train import gather, judging

ROOT = Path(__file__).parents[1]
MODELS = settings._models(str(ROOT / "config" / "models"))
MINI = MODELS["mini"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures a class, one of them broken, and CSVs of the same pictures."""
    folder = tmp_path_factory.mktemp("drawn")
    lines = []
    for product in [product for product in catalog("atelier") if not product.fault][:160]:
        kind = render.KINDS[product.item.kind].words[0]
        path = folder / "set" / kind / f"{len(lines)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        render.draw(product.item, 96).save(path)
        lines.append((str(path.relative_to(folder)), kind))
    (folder / "set" / lines[0][1] / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    (folder / "list.csv").write_text("image_path;label\n" + "".join(f"{path};{kind}\n" for path, kind in lines))
    return folder


@pytest.fixture(scope="module")
def mini(demo_store: str) -> Encoder:
    return models.load(open_store(demo_store), models.register(open_store(demo_store), MINI), "cpu")


# --------------------------------------------------------------------------------------------------- as a user runs it


@pytest.fixture(scope="module")
def told(demo_store: str, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report of mini, and of a model whose weights are not there, on a shop and a drawn set."""
    folder = tmp_path_factory.mktemp("benchmark")
    (folder / "config" / "shops").mkdir(parents=True)
    (folder / "config" / "models").mkdir()
    text = (ROOT / "config" / "models" / "mini.toml").read_text()
    for name, weights in (("mini", str(ROOT / "config" / "models" / "mini.safetensors")), ("absent", "absent.bin")):
        file = folder / "config" / "models" / f"{name}.toml"
        file.write_text(text.replace('"mini.safetensors"', f'"{weights}"'))
    other = (folder / "config" / "models" / "absent.toml").read_text().replace('sha256 = "bd7b', 'sha256 = "0000')
    (folder / "config" / "models" / "absent.toml").write_text(other)  # else the store has them
    (folder / "config" / "pluribus.toml").write_text(f'store = "{demo_store}"\n')
    shop = (ROOT / "config" / "shops" / "atelier.toml").read_text()
    (folder / "config" / "shops" / "atelier.toml").write_text(shop)
    data = f"shop:atelier,folder:{drawn / 'set'}"
    done = Fleet(folder, demo_store).run("benchmark", "--models", "mini,absent", "--data", data, "--json")
    report: dict[str, Any] = json.loads(done.stdout)
    report["folder"] = folder
    return report


def values(report: dict[str, Any], **wanted: str) -> dict[str, float]:
    """metric -> value of the lines that say so."""
    return {line["metric"]: float(line["value"]) for line in report["rows"]
            if line["value"] and all(line[name] == value for name, value in wanted.items())}  # fmt: skip


def test_retrieval_is_what_metrics_give_for_the_shops_titles_and_pictures(
    told: dict[str, Any], demo_store: str, mini: Encoder
) -> None:
    own = open_store(demo_store).within("shops/atelier")
    release = releases.open_release(own, shop="atelier")
    rows = gather.examples(release.path("products.parquet"), shop="atelier", model=MINI)
    titles, first = rows["title"].to_pylist(), [contents[0] for contents in rows["pictures"].to_pylist()]
    groups = judging.equally_right(titles, first)
    ranked = metrics.rank(mini.texts(titles), judging.picture_vectors(mini, own, first), groups, groups)
    found = values(told, table="retrieval", model="mini", data="atelier", of=measuring.EVERY)
    for score in metrics.ranking_scores("", ranked, only=measuring.HITS):
        assert found[score.name.strip()] == pytest.approx(score.value, abs=1e-9)
    (line,) = [row for row in told["retrieval"] if row["split"] == measuring.EVERY]
    assert line["gallery"] == line["n"] == str(rows.num_rows)


def test_naming_is_what_scikit_learn_gives_and_what_finetuning_gives(
    told: dict[str, Any], drawn: Path, mini: Encoder
) -> None:
    labelled = judging.labelled_in(drawn / "set")
    sound = labelled.filter([picture[-10:] != b"no picture" for picture in labelled["picture"].to_pylist()])
    words = sound["label"].to_pylist()
    labels = sorted(set(words))
    asked = mini.texts(labels)  # as they are; mini's own sentence is the label in the singular
    seen = mini.images(measuring._decoded(sound["picture"].to_pylist(), []))
    said = [labels[i] for i in (seen @ asked.T).argmax(axis=1)]
    found = values(told, table="zero-shot", model="mini", data="set", of="raw label")
    assert found["F1"] == pytest.approx(f1_score(words, said, average="weighted"), abs=1e-9)
    assert found["macro F1"] == pytest.approx(f1_score(words, said, average="macro"), abs=1e-9)
    assert found["accuracy"] == pytest.approx(np.mean([a == b for a, b in zip(words, said, strict=True)]), abs=1e-9)
    own = values(told, table="zero-shot", model="mini", data="set", of="the model's sentence")
    assert own["F1"] == pytest.approx(judging.naming(mini, "set", sound).value, abs=1e-9)
    assert {line["labels as"] for line in told["zero_shot"] if line["data"] == "set" and line["model"] == "mini"} == {
        "raw label", "the model's sentence", "4 prompts", "linear probe"}  # fmt: skip
    assert "1 broken pictures left out" in {line["note"] for line in told["rows"] if line["data"] == "set"}


def test_a_model_without_weights_is_one_line_and_the_others_go_on(told: dict[str, Any]) -> None:
    lines = [line for line in told["rows"] if line["model"] == "absent"]
    assert len(lines) == 3  # two tables of the shop, one of the set
    assert all("there is no file" in line["not measured, because"] and not line["value"] for line in lines)
    assert values(told, model="mini", data="set")


def test_published_rows_stand_beside_ours_and_name_their_source(told: dict[str, Any]) -> None:
    printed = [row for row in told["retrieval"] if row["source"].startswith("published: ")]
    assert {(row["model"], row["split"], row["HITS@5"], row["gallery"]) for row in printed} >= {
        ("FashionCLIP", "TEST", "0.61", "not stated"), ("CLIP", "HOUT-C", "0.28", "not stated")}  # fmt: skip
    of = [row for row in told["zero_shot"] if row["source"].startswith("published: ")]
    assert {(row["model"], row["weighted F1"]) for row in of} == {("FashionCLIP", "0.39"), ("CLIP", "0.31")}
    kinds = [sets.Set(kind="fmnist", name="F-MNIST", like="F-MNIST", place="")]
    f1 = {(row.model, row.printed["F1"]) for row in published.rows(kinds)}
    assert {("FashionCLIP", 0.71), ("FashionCLIP", 0.74), ("FashionCLIP 2.0", 0.83)} <= f1


def test_the_store_has_one_csv_and_one_markdown_table_and_the_run_one_card(
    told: dict[str, Any], demo_store: str
) -> None:
    store = open_store(demo_store)
    lines = list(csv.DictReader(io.StringIO(store.get(told["files"]["csv"]).decode())))
    assert lines == told["rows"]
    text = store.get(told["files"]["markdown"]).decode()
    assert "## Table 2" in text
    assert "## Table 3" in text
    assert not {"nan", "NaN", "None"} & set(text.replace("|", " ").split())
    (card,) = (told["folder"] / ".metaflow" / "mf.cards" / "BenchmarkFlow").rglob("*.html")
    told_by_card = card_text(card)
    assert "Table 3" in told_by_card
    assert "there is no file" in told_by_card


def test_splits_too_small_say_so(told: dict[str, Any]) -> None:
    small = [row for row in told["retrieval"] if row["split"] == "TEST" and row["model"] == "mini"]
    assert small[0]["HITS@5"] == ""
    assert small[0]["source"].startswith("not measured, because ")


# ------------------------------------------------------------------------------------------------------------ the sets


def test_a_csv_of_the_same_pictures_gives_the_same_figures(told: dict[str, Any], drawn: Path, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    of = sets.table(store, str(drawn / "list.csv"), 10_000)
    fingerprint = models.register(store, MINI)
    counts = {label: sum(line == label for line in tables_of(store, of)) for label in tables_of(store, of)}
    assert min(counts.values()) >= texts.LABEL_LEAST
    rows = measuring.measure(store, of, MINI, fingerprint)
    labels = sorted(counts)
    kept = [(path, label) for path, label in (line.split(";") for line in
            (drawn / "list.csv").read_text().splitlines()[1:]) if label in labels]  # fmt: skip
    encoder = models.load(store, fingerprint)
    seen = encoder.images(np.asarray(Image.open(drawn / path).convert("RGB")) for path, _ in kept)
    said = (seen @ encoder.texts(labels).T).argmax(axis=1)
    truth = [labels.index(label) for _, label in kept]
    assert rows[0].scores["F1"].value == pytest.approx(f1_score(truth, said, average="weighted"), abs=1e-9)


def tables_of(store: Any, of: sets.Set) -> list[str]:
    from pluribus import tables as parquet

    found: list[str] = parquet.read(store.local(of.key))["label"].to_pylist()
    return found


@pytest.mark.parametrize(
    ("head", "row", "file", "like"),
    [
        ("id,gender,articleType,productDisplayName", "{i},Men,{label},A, name with, commas", "images/{i}.jpg", "KAGL"),
        ("image_name,category_name", "img/a/{i}.jpg,{label}", "img/a/{i}.jpg", "DEEP"),
        ("filename\tLabel", "{i}.jpg\t{label}", "images/{i}.jpg", ""),
    ],
)
def test_csvs_as_kaggle_and_deepfashion_have_them(tmp_path: Path, head: str, row: str, file: str, like: str) -> None:
    lines = [head]
    for i in range(30):
        label = "rare" if i == 29 else ("Shirts", "Heels")[i % 2]
        path = tmp_path / "data" / file.format(i=i)
        path.parent.mkdir(parents=True, exist_ok=True)
        if i != 28:
            Image.new("RGB", (8, 8), (i, 0, 0)).save(path)
        lines.append(row.format(i=i, label=label))
    (tmp_path / "data" / "styles.csv").write_text("\n".join(lines))
    store = open_store(str(tmp_path / "store"))
    of = sets.table(store, str(tmp_path / "data" / "styles.csv"), 10_000)
    assert (of.like, of.n, set(tables_of(store, of))) == (like, 28, {"Shirts", "Heels"})
    assert of.note == "1 rows of rare classes left out; 1 rows without a picture left out"
    again = sets.table(store, str(tmp_path / "data" / "styles.csv"), 10)
    assert again.n in (9, 10)  # the row without a picture may be among those drawn
    assert len(list(store.items("benchmarks/sets/"))) == 2


def test_a_csv_cannot_name_pictures_outside_of_its_folder(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    (tmp_path / "data").mkdir()
    rows = "".join(f"../secret.png,{label}\n{tmp_path}/secret.png,{label}\n" for label in ("a", "b") for _ in range(5))
    (tmp_path / "data" / "list.csv").write_text("path,label\n" + rows)
    with pytest.raises(ConfigError, match="and 0 of 20 looked for lie beside it"):
        sets.table(open_store(str(tmp_path / "store")), str(tmp_path / "data" / "list.csv"), 100)


def test_fashion_mnist_gets_the_names_of_its_classes(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / "set" / str(number)).mkdir(parents=True)
        Image.new("L", (28, 28), number).save(tmp_path / "set" / str(number) / "0000.png")
    store = open_store(str(tmp_path / "store"))
    of = sets.fmnist(store, str(tmp_path / "set"), 100)
    assert tables_of(store, of) == list(sets.CLASSES)
    with pytest.raises(ConfigError, match="numbers: 0, 1, 2, 3, 4 …; expected words; for Fashion-MNIST say fmnist"):
        sets.folder(store, str(tmp_path / "set"), 100)


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"", "has the columns ; expected id, with articletype"),
        (b"a,b\n1,2\n", "has the columns a, b; expected id, with articletype; or image_name"),
        (b"path,label\n\xff.png,x\n", "cannot be read"),
        (b"path,label\n1.png,3\n2.png,4\n", "the classes of .* are numbers: 3, 4"),
        (b"path,label\nno.png,a\n", "names 1 pictures, and 0 of 0 looked for lie beside it"),
    ],
)
def test_what_is_no_csv_of_pictures_is_one_clear_error(tmp_path: Path, content: bytes, wrong: str) -> None:
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(ConfigError, match=wrong):
        sets.table(open_store(str(tmp_path / "store")), str(tmp_path / "list.csv"), 100)


@pytest.mark.parametrize("text", ["", "atelier", "shop:", "web:x", "shop:a,,folder"])
def test_data_that_names_no_set_is_one_clear_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected (shop:…, folder:…, fmnist:…, csv:…|names separated)"):
        sets.asked(text)


def test_a_shop_that_is_not_published_stops_before_anything_is_measured(demo_store: str) -> None:
    with pytest.raises(ReleaseError, match="shop nobody has no live release"):
        sets.gather(open_store(demo_store), [("shop", "nobody")], 100)


def test_a_small_shop_has_no_splits_and_says_why(demo_store: str, mini: Encoder) -> None:
    store = open_store(demo_store)
    (of,) = sets.gather(store, [("shop", "hearth")], 25)
    rows = measuring.measure(store, of, MINI, models.register(store, MINI))
    assert rows[0].scores["hits@5"].n == 25
    assert all(row.scores or row.why for row in rows)


def test_names_become_no_markup(tmp_path: Path) -> None:
    hostile = sets.Set(kind="folder", name="=cmd|<script>alert(1)</script>\n| x", place="")
    rows = measuring.unmeasured(hostile, "mini", "no weights")
    store = open_store(str(tmp_path))
    tables.keep(store, "benchmarks/1/", rows, {})
    text = store.get("benchmarks/1/tables.md").decode()
    assert "<script>" not in text
    assert "\n| x" not in text
    assert next(csv.DictReader(io.StringIO(store.get("benchmarks/1/table.csv").decode())))["data"].startswith("'=")
