"""What happened to a shop, a product, the fleet: told from what two real runs left behind."""

import json
from pathlib import Path

import pytest
from fleets import ROOT, Fleet

from pluribus import inspect, search, tables
from pluribus.errors import ConfigError, ReleaseError
from pluribus.store import open_store


def test_diff_names_what_was_added_removed_and_changed(operated: Fleet) -> None:
    found = inspect.open(operated.store).diff("atelier", operated.runs[0], operated.runs[1])
    assert len(found.removed) == 1
    assert not found.added
    assert found.columns == {"title": 1}
    assert list(found.changed.values()) == [["title"]]
    assert found.kept == operated.first["atelier"]["counts"]["accepted"] - 1
    assert found.moved is not None
    assert 0.99 < found.moved < 1
    assert found.churn is not None
    assert 0 < found.churn < 0.2
    assert found.seeds == found.kept
    then, now = found.scores["title→product hits@5"]
    assert then is not None
    assert now is not None
    assert found.quarantine
    assert not found.into_quarantine


def test_a_release_does_not_differ_from_itself(operated: Fleet) -> None:
    found = inspect.open(operated.store).diff("atelier", "live", "live")
    assert (found.added, found.removed, found.changed, found.churn) == ([], [], {}, 0.0)
    assert found.moved == pytest.approx(1, abs=1e-3)


def test_diff_tells_people_and_machines_the_same(operated: Fleet) -> None:
    told = json.loads(operated.run("diff", "atelier", *operated.runs, "--json").stdout)
    shown = operated.run("diff", "atelier", *operated.runs).stdout
    assert told["removed"][0] in shown
    assert next(iter(told["changed"])) in shown
    assert f"{told['churn']:.1%}" in shown


def test_a_name_that_is_no_release_is_refused(operated: Fleet) -> None:
    with pytest.raises(ReleaseError, match=r"no release of shop atelier by the name 'zzz'; expected one of"):
        inspect.open(operated.store).diff("atelier", "zzz", "live")
    done = operated.run("diff", "outpost", "zzz", ok=1)
    assert done.stderr.startswith("error: no release of shop outpost by the name 'zzz'; expected one of ")


def test_lineage_leads_from_the_feed_to_the_release_by_objects_that_exist(operated: Fleet) -> None:
    shop, store = "atelier", open_store(operated.store)
    own = store.within(f"shops/{shop}")
    found = search.open(operated.store, shop)
    product = next(row for row in found.products.to_pylist() if len(row["pictures"]) > 1)
    stations = inspect.trace(store, shop=shop, product_id=product["product_id"])
    kinds = [station.station for station in stations]
    assert kinds == ["feed", "snapshot", "judgement", *["picture vector"] * len(product["pictures"]), "text vector",
                     "release"]  # fmt: skip
    for station in stations:
        assert any(own.items(station.key)), station
    rows = tables.read(own.local(stations[1].key)).to_pylist()
    assert f"row {next(r['row'] for r in rows if r['product_id'] == product['product_id'])}" in stations[0].says
    assert b"<item>" in own.get(stations[0].key)
    assert "live since" in stations[-1].says


def test_lineage_of_a_quarantined_product_ends_with_its_reasons(operated: Fleet) -> None:
    rows = json.loads(operated.run("quarantine", "atelier", "--json").stdout)
    refused = next(row for row in rows if row["product_id"] and "DUP" not in row["reasons"])
    told = json.loads(operated.run("lineage", "atelier", refused["product_id"], "--json").stdout)
    assert [line["station"] for line in told] == ["feed", "snapshot", "judgement"]
    assert all(reason in told[-1]["says"] for reason in refused["reasons"])


def test_lineage_of_a_stranger_is_one_clear_line(operated: Fleet) -> None:
    with pytest.raises(ConfigError, match=r"no product 'NOPE' in release .* of atelier, nor in its quarantine"):
        inspect.open(operated.store).lineage("atelier", "NOPE")


def test_status_counts_every_shop_and_names_who_needs_somebody(operated: Fleet) -> None:
    found = json.loads(operated.run("status", "--json").stdout)
    assert (found["shops"], found["live"], found["never_published"], found["damaged"]) == (2, 2, 0, 0)
    assert found["trouble"] == []
    listed = json.loads(operated.run("shops", "--json").stdout)
    operated.refresh("--shops", "all")  # nothing is new
    for now in (found, json.loads(operated.run("status", "--json").stdout)):
        assert now["products"] == sum(shop["products"] for shop in listed) > 0
    operated.run("hold", "outpost", "--why", "a test <b>")
    held = json.loads(operated.run("status", "--json").stdout)
    operated.run("unhold", "outpost")
    assert held["held"] == 1
    assert [(line["shop"], line["what"], line["why"]) for line in held["trouble"]] == [
        ("outpost", "held", "a test <b>")
    ]


def test_a_run_is_resumed_as_it_was_begun_or_not_at_all(operated: Fleet) -> None:
    ended = inspect.open(operated.store).runs(most=1)[0]["run"]
    for options, wrong in (
        (["123", "--shops", "atelier"], "--shops beside --resume; expected the options that the run has; leave out"),
        (["123"], "no run '123' in "),
        ([ended], f"run {ended} has ended; see: pluribus runs"),
    ):
        done = operated.run("refresh", "--resume", *options, ok=2)
        assert done.stderr.startswith(f"error: {wrong}")


def test_status_of_a_damaged_shop_says_so_and_goes_on(operated: Fleet, tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.create("shops/bad/CURRENT", b"{}")
    found = inspect.open(store).status(["bad", "new"])
    assert (found.shops, found.damaged, found.never_published) == (2, 1, 1)
    assert found.trouble[0]["what"] == "damaged"


def test_runs_carry_tags_of_shop_model_and_verdict(operated: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAFLOW_DATASTORE_SYSROOT_LOCAL", str(operated.folder))
    monkeypatch.chdir(operated.folder)
    run = inspect.open(operated.store).metaflow(operated.runs[1])
    assert {"shop:atelier", "shop:outpost", "model:mini", "published", "unchanged"} <= run.user_tags
    with pytest.raises(ConfigError, match="Metaflow knows no run '1'"):
        inspect.open(operated.store).metaflow("1")


def test_the_example_notebook_runs(operated: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAFLOW_DATASTORE_SYSROOT_LOCAL", str(operated.folder))
    monkeypatch.setenv("PLURIBUS_STORE", operated.store)
    monkeypatch.chdir(operated.folder)
    book = json.loads((ROOT / "examples" / "inspect.ipynb").read_text())
    there: dict[str, object] = {}
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), there)
    assert len(there["seconds"]) == 2  # type: ignore[arg-type]
    assert there["shop"] == "atelier"
    assert there["difference"].kept > 30  # type: ignore[attr-defined]
