"""Fine-tuning: what is gathered, how candidates are judged and chosen, and the whole flow as a user runs it."""

import csv
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fleets import Fleet
from PIL import Image
from test_models import random_model

from pluribus import costs, models, releases, settings
from pluribus.errors import ConfigError
from pluribus.models import towers_torch
from pluribus.records import Model, Score
from pluribus.store import open_store
from pluribus.train import choosing, gather, handover, judging

ROOT = Path(__file__).parents[1]
MINI = settings._models(str(ROOT / "config" / "models"))["mini"]


def examples(store_url: str, shop: str) -> pa.Table:
    own = open_store(store_url).within(f"shops/{shop}")
    return gather.examples(releases.open_release(own, shop=shop).path("products.parquet"), shop=shop, model=MINI)


# ------------------------------------------------------------------------------------------------- pairs and splits


def test_accepted_products_become_pairs_of_their_pictures_and_all_that_is_true_of_them(
    demo_store: str, tmp_path: Path
) -> None:
    rows = gather.divide(pa.concat_tables([examples(demo_store, shop) for shop in ("atelier", "outpost")]),
                         held_shops=["outpost"], held_share=0)  # fmt: skip
    assert gather.counts(rows)["SHOP outpost"] == sum(shop == "outpost" for shop in rows["shop"].to_pylist())
    (taught,) = gather.pairs(open_store(demo_store), rows, MINI, tmp_path)
    own = gather.of_split(rows, "TRAIN")["atelier"]
    said = dict(zip(own["product_id"].to_pylist(), own["captions"].to_pylist(), strict=True))
    assert len(taught.squares) == len({p for pictures in own["pictures"].to_pylist() for p in pictures})
    assert taught.squares.shape[1:] == (3, 64, 64)
    assert taught.squares.reshape(len(taught.squares), -1).std(axis=1).min() > 1  # every picture was filled in
    first = own.to_pylist()[0]
    assert first["title"] in said[first["product_id"]]
    assert {caption for captions in said.values() for caption in captions} == {c for cs in taught.captions for c in cs}


def test_products_without_title_or_picture_teach_nothing(demo_store: str) -> None:
    rows = examples(demo_store, "hearth")
    assert 20 < rows.num_rows < 40
    assert all(rows["title"].to_pylist())
    assert all(rows["pictures"].to_pylist())


# ---------------------------------------------------------------------------------------------------------- judging


def replaced(rows: pa.Table, name: str, values: list[str]) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), name, pa.array(values))


def test_the_shops_own_pictures_are_found_and_anothers_titles_find_nothing(demo_store: str) -> None:
    encoder = models.load(open_store(demo_store), models.register(open_store(demo_store), MINI), "cpu")
    rows = gather.divide(examples(demo_store, "atelier"), held_share=0.2)
    scores = {score.name: score for score in judging.judge(encoder, open_store(demo_store), rows)}
    assert all(f"{split} hits@5" in scores for split in gather.counts(rows) if split not in ("TRAIN", "left out"))
    every = replaced(rows, "split", ["TEST"] * rows.num_rows)
    hits, mrr = judging.retrieval(encoder, open_store(demo_store), "TEST", gather.of_split(every, "TEST"))
    assert hits.n == rows.num_rows
    assert hits.value > 0.9 > 2 * hits.chance
    assert 0 < mrr.chance < mrr.low <= mrr.value <= mrr.high <= 1
    shuffled = replaced(every, "title", every["title"].to_pylist()[::-1])
    assert judging.retrieval(encoder, open_store(demo_store), "TEST", {"atelier": shuffled})[0].value < 0.6


def test_external_sets_are_folders_of_pictures_a_class_in_a_folder_or_a_tar(tmp_path: Path) -> None:
    for word, colour in (("red", (200, 0, 0)), ("blue", (0, 0, 200))):
        (tmp_path / "set" / word).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (40, 30), colour).save(tmp_path / "set" / word / f"{i}.png")
    with tarfile.open(tmp_path / "set.tar", "w") as tar:
        tar.add(tmp_path / "set", "pictures")
    encoder = towers_torch.read(MINI)
    found = judging.external([str(tmp_path / "set"), str(tmp_path / "set.tar")])
    one, other = (judging.naming(encoder, name, labelled) for name, labelled in found.items())
    assert (one.n, one.note, one.chance) == (6, "2 classes", 0.5)
    assert one.value == other.value == 1.0


def test_external_sets_of_one_name_are_two_and_broken_pictures_make_no_class(tmp_path: Path) -> None:
    places = [tmp_path / name / "val" for name in ("a", "b")]
    for place in places:
        for word in ("red", "blue"):
            (place / word).mkdir(parents=True)
            Image.new("RGB", (40, 30), word).save(place / word / "0.png")
    assert list(judging.external(list(map(str, places)))) == ["val", str(places[1])]
    (places[0] / "red" / "0.png").write_bytes(b"no picture")
    with pytest.raises(ConfigError, match="val has 1 classes of pictures that can be read"):
        judging.external([str(places[0])])


@pytest.mark.parametrize("make", ["nothing", "one class", "text"])
def test_what_is_no_external_set_is_one_clear_error(tmp_path: Path, make: str) -> None:
    place = tmp_path / "set"
    if make == "one class":
        (place / "red").mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(place / "red" / "a.png")
    elif make == "text":
        place.write_text("no tar")
    with pytest.raises(ConfigError, match=r"set (has [01] classes|cannot be read)"):
        judging.external([str(place)])


# --------------------------------------------------------------------------------------------------------- choosing


def judged(rate: float, home: float, *abroad: float, share: float = 1.0) -> choosing.Candidate:
    score = Score(name="", value=0, n=10, low=0, high=1, chance=0.1)
    return choosing.Candidate(
        learning_rate=rate, share=share, loss=2.5, chance_loss=5.5, cost=costs.cost(618) if rate else None,
        scores={choosing.CHOSEN_BY: replace(score, value=home)},
        external={f"set {i} F1": replace(score, value=value) for i, value in enumerate(abroad)},
    )  # fmt: skip


START = judged(0.0, 0.5, 0.6, 0.7)


@pytest.mark.parametrize(
    ("tuned", "winner"),
    [
        ([judged(1e-4, 0.9, 0.6, 0.6), judged(1e-5, 0.7, 0.6, 0.7)], "1e-05"),  # the best at home forgot 0.1 abroad
        ([judged(1e-4, 0.9, 0.59, 0.69), judged(1e-5, 0.7, 0.6, 0.7)], "0.0001"),  # a little may be forgotten
        ([judged(1e-4, 0.7, 0.6, 0.7), judged(1e-5, 0.7, 0.7, 0.7)], "1e-05"),  # what is gained abroad counts
        ([judged(1e-4, 0.9, 0.1, 0.7), judged(1e-4, 0.8, 0.59, 0.7, share=0.5)], "0.0001 x 0.5"),
        ([judged(1e-4, 0.9, 0.6, 0.6)], None),
        ([judged(1e-4, 0.5, 0.6, 0.7)], None),  # no better than the start
    ],
)
def test_the_winner_gains_at_home_and_forgets_little_abroad(
    tuned: list[choosing.Candidate], winner: str | None
) -> None:
    choice = choosing.choose([START, *tuned], forget=0.02)
    assert (choice.winner and choice.winner.name) == winner
    assert choice.winner is not None or choice.reasons


def test_the_refusal_says_what_was_forgotten() -> None:
    choice = choosing.choose([START, judged(1e-4, 0.9, 0.6, 0.5)], forget=0.02)
    assert choice.reasons == ("0.0001 is refused: set 1 F1 fell from 0.700 to 0.500",)


def test_the_table_is_table_1_with_scores() -> None:
    best = judged(1e-4, 0.9, 0.6, 0.7)
    rows = choosing.rows([START, best], best)
    assert [list(row.values())[:8] for row in rows] == [
        ["start", "", "", "2.500", "5.500", "", "", ""],
        ["1e-4", "0", "1", "2.500", "5.500", "618.00", "31.52", "0.766"]
    ]  # fmt: skip
    assert rows[1][""] == "chosen"
    assert list(csv.DictReader(io.StringIO(choosing.as_csv(rows)))) == rows
    assert choosing.markdown(rows).splitlines()[3].startswith("| 1e-4 | 0 | 1 | 2.500 |")
    others = [judged(rate, 0.9) for rate in (1.5e-4, 2e-4)]
    assert [row["LR"] for row in choosing.rows(others, None)] == ["1.5e-4", "2e-4"], "candidates can be told apart"


# --------------------------------------------------------------------------------------------------------- handover


def test_what_is_handed_over_is_a_model_like_any_other(tmp_path: Path) -> None:
    start, tuned = random_model(tmp_path), random_model(tmp_path, seed=1)
    winner = replace(judged(1e-4, 0.9, 0.6), share=0.25)
    file = handover.write(tmp_path / "models", "ours", start, Path(tuned.weights), winner, card="# ours\n")
    made = settings._models(str(file.parent))["ours"]
    assert replace(made, name="", weights="", sha256="") == replace(start, name="", weights="", sha256="")
    store = open_store(str(tmp_path / "store"))
    encoder = models.load(store, models.register(store, made), "cpu")
    one, other, mixed = (towers_torch.read(m).network.text_projection for m in (start, tuned, made))
    assert np.allclose(0.75 * one + 0.25 * other, mixed, atol=1e-3)
    assert encoder.texts(["dress"]).shape == (1, 16)
    text = file.read_text()
    assert handover.write(tmp_path / "models", "ours", start, Path(tuned.weights), winner, card="") == file  # again
    file.write_text("another")
    with pytest.raises(ConfigError, match="another model 'ours' came into"):
        handover.write(tmp_path / "models", "ours", start, Path(tuned.weights), winner, card="")
    file.write_text(text)
    assert models.register(store, settings._models(str(file.parent))["ours"]), "and its weights are as they were"


@pytest.mark.parametrize(
    ("folder", "name", "wrong"),
    [("x", "../evil", "model name"), ("x", "", "model name"), ("x", "tiny", "already"), ("s3://b/m", "ours", "--out")],
)
def test_a_name_that_cannot_be_a_models(folder: str, name: str, wrong: str) -> None:
    start = Model(name="tiny", weights="", sha256="", width=1, licence="", architecture="")
    with pytest.raises(ConfigError, match=wrong):
        handover.check_name(folder, name, start)


# ----------------------------------------------------------------------------------------------------- the whole flow


def test_a_shop_teaches_the_model_and_the_winner_is_a_model(operated: Fleet, tmp_path: Path) -> None:
    asked = ["--shops", "atelier", "--hold-shops", "outpost", "--lrs", "3e-5", "--mixes", "1", "--epochs", "1"]
    asked += ["--batch", "16", "--held-share", "0", "--name", "ours", "--out", str(tmp_path / "models")]
    done = operated.run("finetune", *asked, "--json", "--forget", "1", ok=0, XDG_CACHE_HOME=str(tmp_path / "cache"))
    report = json.loads(done.stdout)
    start, tuned = report["rows"]
    assert (start["LR"], tuned["LR"]) == ("start", "3e-5")
    assert float(tuned["loss"]) < float(tuned["ln(batch)"])
    assert float(tuned["minutes"]) > 0
    assert float(start["SHOP outpost hits@5"]) > 0.8
    assert report["splits"]["SHOP outpost"] > 20
    assert not list((tmp_path / "cache" / "pluribus" / "trainings").iterdir())  # what is done is tidied away
    assert list(csv.DictReader(io.StringIO(table_of(operated, report["run"])))) == report["rows"]
    kept = {item.key.rsplit("/", 1)[1] for item in open_store(operated.store).items("finetunes/")}
    assert not [name for name in kept if "examples" in name]  # what shops gave lies, and goes, with each shop
    assert any(open_store(operated.store).within("shops/atelier").items("finetunes/"))
    made = settings._models(str(tmp_path / "models"))["ours"]
    store = open_store(str(tmp_path / "store"))
    assert models.register(store, made)
    again = operated.run("finetune", "--resume", report["run"], ok=2)
    assert again.stderr.strip() == f"error: run {report['run']} has ended; see: pluribus cards {report['run']}"
    assert "choose" in operated.run("cards", report["run"], ok=0).stdout
    assert f"| 3e-5 | 0 | 1 | {tuned['loss']} |" in (tmp_path / "models" / "ours.md").read_text()


def table_of(fleet: Fleet, run: str) -> str:
    store = open_store(fleet.store)
    (key,) = [item.key for item in store.items("finetunes/") if item.key.endswith(f"-{run}/table.csv")]
    return store.get(key).decode()


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (["--lrs", "fast"], "'fast' among the options; expected numbers separated by commas, none below 0"),
        (["--shops", "atelier", "--hold-shops", "atelier"], "no product to train on"),
        (["--mixes", "5"], "'5' among the options; expected numbers separated by commas, none below 0 or above 1"),
        (["--resume", "7"], "--name beside --resume; expected the options that the run has; leave out"),
    ],
)
def test_wrong_options_are_one_line(operated: Fleet, options: list[str], wrong: str) -> None:
    done = operated.run("finetune", *options, "--name", "never", ok=2 if "--resume" in options else 1)
    assert done.stderr.startswith(f"error: {wrong}")
    assert len(done.stderr.strip().splitlines()) == 1
