"""The gate refuses a real regression on the same queries, and nothing that is only noise."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exams import SHOP, Bench, Seeing, Turned, altered, bench

from pluribus import evaluate, releases, settings, vectors
from pluribus.errors import ConfigError
from pluribus.evaluate import gate as judging
from pluribus.evaluate.exam import Exam, Unmeasured
from pluribus.evaluate.labels import probe
from pluribus.records import Gate, Verdict

N = 160


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench(tmp_path_factory.mktemp("gate"), "atelier", N)


@pytest.fixture(scope="module")
def first(drawn: Bench) -> str:
    return drawn.make()


def verdict(exam: Exam, live: judging.Live, fingerprint: str) -> Verdict:
    compared, why = judging.compare(exam, live)
    assert not why and len(compared) == 4
    assert all(one.n >= 100 for one in compared)
    model = (exam.model.name, fingerprint)
    return judging.judge({}, [], compared, exam.gate, live=live, release=exam.release, model=model)


def codes(found: Verdict) -> set[str]:
    return {reason.code for reason in found.reasons}


def test_twenty_reruns_of_an_unchanged_release_are_never_blocked(drawn: Bench, first: str) -> None:
    live = drawn.live(first)
    for seed in range(20):
        found = verdict(drawn.exam(first, seed=seed, gate=Gate(queries=120)), live, drawn.fingerprint)
        assert found == Verdict(outcome="pass"), seed


def test_a_changing_catalog_is_not_blocked(drawn: Bench, first: str) -> None:
    """20 deliveries that each lost 5 % of the products and saw every tenth picture re-encoded slightly differently."""
    live, whole = drawn.live(first), drawn.exam(first, gate=Gate(queries=120))
    release = whole.release
    for seed in range(20):
        rng = np.random.default_rng(seed)
        kept = np.sort(rng.permutation(N)[: N * 19 // 20])
        noise = (rng.random((len(kept), 1)) < 0.1) * rng.normal(0, 0.01, (len(kept), release.image.shape[1]))
        part = altered(
            replace(whole, seed=seed),
            rows=release.rows.take(kept),
            fused=(release.fused[kept] + noise).astype(np.float16),
            image=(release.image[kept] + noise).astype(np.float16),
            text=release.text[kept],
            has_image=release.has_image[kept],
            has_text=release.has_text[kept],
        )
        assert verdict(part, live, drawn.fingerprint).outcome == "pass", seed


def test_vectors_shuffled_for_a_tenth_of_the_products(drawn: Bench, first: str) -> None:
    exam = drawn.exam(first)
    rng = np.random.default_rng(0)
    place = np.arange(N)
    tenth = rng.permutation(N)[: N // 10]
    place[tenth] = np.roll(tenth, 1)
    release = exam.release
    shuffled = altered(exam, fused=release.fused[place], image=release.image[place], text=release.text[place])
    found = verdict(shuffled, drawn.live(first), drawn.fingerprint)
    assert (found.outcome, codes(found)) == ("fail", {"FELL"})
    assert found.reasons[0].value is not None and found.reasons[0].value < -0.02


def twice(array: np.ndarray) -> np.ndarray:
    """Normalised a second time by the model's mean and spread."""
    return np.clip(((array / 255 - 0.5) / 0.25 + 0.5) * 255, 0, 255).astype(np.uint8)


def middle(array: np.ndarray) -> np.ndarray:
    """Cut to its middle quarter."""
    height, width = array.shape[:2]
    return array[height // 4 : -height // 4, width // 4 : -width // 4]


@pytest.mark.parametrize(
    "change",
    [twice, middle, lambda array: array[:, :, ::-1], lambda array: array * np.array([0, 1, 1], np.uint8)],
    ids=["normalised twice", "wrong crop", "channels swapped", "a channel lost"],
)
def test_broken_eyes(drawn: Bench, first: str, change: object) -> None:
    """The same model file and other code before it: its vectors would bear another version of the encoder."""
    broken = drawn.make(fingerprint="b" * 16, encoder=Seeing(drawn.encoder, change))  # type: ignore[arg-type]
    live = replace(drawn.live(first), fingerprint="b" * 16)  # nothing tells the gate but what the vectors do
    found = verdict(drawn.exam(broken, fingerprint="b" * 16), live, "b" * 16)
    shelf = drawn.store.items(f"vectors/{'b' * 16}/")
    for item in list(shelf):
        drawn.store.delete(item.key)  # the next change encodes anew
    assert found.outcome == "fail" and "FELL" in codes(found)


def test_another_model_under_the_same_name(drawn: Bench, first: str) -> None:
    """A worse one fails; one that is exactly as good is held until somebody says that it was meant."""
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.normal(size=(drawn.model.width, drawn.model.width)))
    for name, matrix, outcome in (("c" * 16, turn[:, :8] @ turn[:, :8].T, "fail"), ("d" * 16, turn, "hold")):
        made = drawn.make(fingerprint=name, encoder=Turned(drawn.encoder, matrix))
        found = verdict(drawn.exam(made, fingerprint=name), drawn.live(first), name)
        assert found.outcome == outcome, found.says
    assert codes(found) == {"MODEL"}
    renamed = replace(drawn.live(first), model="older")
    assert verdict(drawn.exam(made, fingerprint=name), renamed, name).outcome == "pass"


def test_captions_of_another_shop(drawn: Bench, first: str) -> None:
    from pluribus import demo

    other = demo.catalog("hearth", n_products=N)
    said = [("title", "title"), ("description", "description")]
    rows = [row | {to: getattr(other[i].row, of) for to, of in said} for i, row in enumerate(drawn.rows)]
    exam = drawn.exam(drawn.make(rows))
    compared, _ = judging.compare(exam, drawn.live(first))
    found = judging.judge({}, [], compared, exam.gate, live=drawn.live(first), release=exam.release)
    fallen = {reason.of for reason in found.reasons}
    assert found.outcome == "fail"
    assert {"yesterday's titles → product hits@5", "own title → own picture hits@5"} <= fallen


def test_pictures_that_vanish_are_seen(drawn: Bench, first: str) -> None:
    exam = drawn.exam(first)
    there = exam.release.has_image.copy()
    there[: N // 10] = False
    found = verdict(altered(exam, has_image=there), drawn.live(first), drawn.fingerprint)
    assert codes(found) == {"PICTURES"}


def test_a_wholly_new_catalog_is_compared_plainly_and_the_verdict_is_machine_readable(drawn: Bench) -> None:
    other = [row | {"product_id": f"new-{i}"} for i, row in enumerate(drawn.rows[:40])]
    release = drawn.make(drawn.rows[40:])
    live = releases.open_release(drawn.store, shop=SHOP, release=release)
    of = {"model": drawn.model, "fingerprint": drawn.fingerprint, "gate": Gate(product_hits_at_5=1.0, queries=40)}
    found = evaluate.measure(drawn.store, release=drawn.make(other), live=live, **of)  # type: ignore[arg-type]
    assert "0 titles can be asked of both" in found.not_measured["yesterday's titles → product"]
    assert found.comparison == []
    must = Gate(must=("hubs",), thresholds=replace(Gate().thresholds, hubs=0.0))
    judged = judging.judge(found.scores, [{"name": "hubs", "value": 0.1, "limit": 0.0, "passed": False}], [], must)
    (reason,) = judged.reasons
    assert (judged.outcome, reason.code, reason.of, reason.value, reason.limit) == ("fail", "BEHAVIOUR", "hubs", 0.1, 0)
    unseen = judging.judge(found.scores, [], [], must, not_measured={"hubs": "no log"})
    assert [(r.code, r.of) for r in unseen.reasons] == [("UNMEASURED", "hubs")]
    assert "no log" in unseen.reasons[0].says


@pytest.mark.parametrize("name", ["word order", "typos"])
def test_a_test_that_must_be_met_is_one_there_is(name: str, tmp_path: Path) -> None:
    text = f'vertical = "home"\n[gate]\nmust = ["{name}"]\n'.encode()
    with pytest.raises(ConfigError, match=rf"must names '{name}'; expected some of .*word_order"):
        settings.parse_shop(text, str(tmp_path / "a.toml"))


def test_only_titles_with_a_vector_on_both_shelves_are_asked(drawn: Bench, first: str) -> None:
    live, exam = drawn.live(first), drawn.exam(first, gate=Gate(queries=N))
    known = sorted({title for title in live.release.titles if title})[::2]
    other = vectors.Shelf(drawn.store, "e" * 16, drawn.model.width)
    other.add([vectors.text_key(title) for title in known], exam.look_up(known).astype(np.float32))
    unseen = np.zeros(N, bool)  # else own titles would be asked too
    compared, _ = judging.compare(altered(exam, has_image=unseen), replace(live, shelf=other))
    assert compared[0].n == sum(title in known for title in live.release.titles) < N


def test_a_probe_chooses_its_penalty_alike_however_the_rows_are_sorted() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(12), 25)
    vectors = rng.normal(size=(12, 96))[truth] + 2.2 * rng.normal(size=(300, 96))
    order = rng.permutation(300)
    right = [np.mean(probe(vectors[o], truth[o], 12) == truth[o]) for o in (np.arange(300), order)]
    assert right[0] == pytest.approx(right[1], abs=0.06)


def test_a_probe_is_not_asked_what_it_was_taught() -> None:
    """A picture of several products is one picture: labels that mean nothing cannot be learned from it."""
    random = np.random.default_rng(0)
    vectors, truth = random.standard_normal((200, 32)).astype(np.float32), random.integers(0, 10, 200)
    thrice = probe(np.repeat(vectors, 3, axis=0), np.repeat(truth, 3), 10)
    assert (thrice == np.repeat(truth, 3)).mean() < 0.2
    with pytest.raises(Unmeasured, match="2 different pictures"):
        probe(vectors[:2], np.array([0, 1]), 2)
