"""Contrastive training: it learns, resumes where it was killed, and knows whose caption is whose."""

import json
import math
import os
import random
import signal
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_models import TINY, random_model

from pluribus import train
from pluribus.errors import ConfigError, ModelError
from pluribus.models import encoders, towers_torch
from pluribus.records import Model
from pluribus.train import errands, power

COLOURS = {"red": (200, 20, 20), "green": (20, 180, 40), "blue": (30, 40, 200), "white": (250, 250, 250)}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other make tiny batches ten times slower on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def encoder(tmp_path: Path) -> encoders.Encoder:
    return towers_torch.read(random_model(tmp_path), "cpu")


@pytest.fixture
def coloured() -> list[train.Pairs]:
    """Squares of one colour under two captions each."""
    squares = np.stack(
        [np.broadcast_to(np.array(rgb, np.uint8)[:, None, None], (3, 32, 32)) for rgb in COLOURS.values()]
    )
    noise = np.random.default_rng(0).integers(-5, 6, (20, *squares.shape))
    noisy = np.clip(squares + noise, 0, 255).astype(np.uint8).reshape(-1, 3, 32, 32)
    return [train.Pairs(noisy, [(colour, f"a {colour} square") for colour in COLOURS] * 20)]


def test_a_short_training_beats_chance(encoder: encoders.Encoder, coloured: list[train.Pairs]) -> None:
    seen: list[train.Progress] = []
    train.fit(encoder, coloured, steps=30, batch_size=16, learning_rate=3e-3, report=seen.append)
    assert np.mean([p.loss for p in seen[-5:]]) < 0.5 * seen[-1].chance
    likeness = encoder.images([p.transpose(1, 2, 0) for p in coloured[0].squares[:4]]) @ encoder.texts(list(COLOURS)).T
    assert likeness.argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_a_killed_training_ends_like_one_that_was_not(tmp_path: Path, coloured: list[train.Pairs]) -> None:
    def trained(name: str, dies_at: int | None) -> tuple[int, torch.Tensor]:
        encoder = towers_torch.read(random_model(tmp_path), "cpu")

        def report(progress: train.Progress) -> None:
            if progress.step == dies_at:
                raise KeyboardInterrupt

        steps = train.fit(encoder, coloured, steps=8, batch_size=8, checkpoint=tmp_path / name, checkpoint_steps=2,
                          report=report)  # fmt: skip
        return steps, encoder.network.text_projection

    with pytest.raises(KeyboardInterrupt):
        trained("killed", 5)
    resumed, whole = trained("killed", None), trained("whole", None)
    assert resumed[0] == whole[0] == 8
    assert torch.allclose(resumed[1], whole[1], atol=1e-6)


def test_a_checkpoint_of_another_training_is_refused(
    encoder: encoders.Encoder, coloured: list[train.Pairs], tmp_path: Path
) -> None:
    train.fit(encoder, coloured, steps=1, batch_size=4, checkpoint=tmp_path / "c")
    with pytest.raises(ConfigError, match="seed 0; expected 1"):
        train.fit(encoder, coloured, steps=1, batch_size=4, seed=1, checkpoint=tmp_path / "c")


def test_a_loss_that_is_no_number_stops_the_training(encoder: encoders.Encoder, coloured: list[train.Pairs]) -> None:
    encoder.network.logit_scale.data.fill_(float("nan"))
    with pytest.raises(ModelError, match="the loss is nan at step 0"):
        train.fit(encoder, coloured, steps=1, batch_size=4)


@pytest.mark.parametrize("captions", [[], [("dress",), ()]])
def test_pictures_without_captions_are_refused(encoder: encoders.Encoder, captions: list[tuple[str, ...]]) -> None:
    with pytest.raises(ConfigError, match="without caption"):
        train.fit(encoder, [train.Pairs(np.zeros((len(captions), 3, 32, 32), np.uint8), captions)], steps=1)


def test_equal_captions_are_positives_of_each_other(encoder: encoders.Encoder) -> None:
    """So are captions that were not drawn: whatever is true of a picture is."""
    captions = [("dress", "red dress"), ("Red Dress", "dress"), ("mug",)]
    sources = [train.Pairs(np.zeros((3, 3, 32, 32), np.uint8), captions)]
    batches = train.Batches.of(encoder, sources)
    assert len(batches.tokens) == 3
    batch = batches.draw(64, np.random.default_rng(0))
    assert len(batch.squares) == 64
    assert len(batch.tokens) == 3
    kinds = {tuple(row) for row in batch.positives.int().tolist()}
    assert kinds == {(1, 1, 0), (0, 0, 1)}  # dress and red dress, or mug


def test_with_one_positive_each_the_loss_is_clips() -> None:
    from open_clip.loss import ClipLoss

    generator = torch.Generator().manual_seed(0)
    images, texts = (torch.nn.functional.normalize(torch.randn(6, 8, generator=generator), dim=1) for _ in range(2))
    scale = torch.tensor(10.0)
    ours = train.contrastive_loss(images, texts, torch.eye(6, dtype=torch.bool), scale)
    assert torch.isclose(ours, ClipLoss()(images, texts, scale))
    uniform = train.contrastive_loss(images[:1].expand(6, 8), texts[:1].expand(6, 8), torch.eye(6) > 0, scale)
    assert math.isclose(uniform.item(), train.chance_loss(torch.eye(6)), rel_tol=1e-5)


def test_sources_are_mixed_by_their_shares(encoder: encoders.Encoder) -> None:
    sources = [
        train.Pairs(np.full((5, 3, 32, 32), i, np.uint8), [(str(i),)] * 5, share) for i, share in ((0, 3.0), (1, 1.0))
    ]
    batch = train.Batches.of(encoder, sources).draw(2000, np.random.default_rng(0))
    assert abs((batch.squares[:, 0, 0, 0] == 0).float().mean().item() - 0.75) < 0.05


def test_a_caption_that_is_not_drawn_is_true_all_the_same(encoder: encoders.Encoder) -> None:
    black = np.zeros((9, 3, 32, 32), np.uint8)
    sources = [
        train.Pairs(black, [("dress", "striped")] * 9, drawn=[1] * 9),
        train.Pairs(black + 1, [("striped", "dress")] * 9, drawn=[1] * 9),
    ]
    batch = train.Batches.of(encoder, sources).draw(64, np.random.default_rng(0))
    assert len(batch.tokens) == 2
    assert batch.positives.all()


def test_hues_change_only_where_no_caption_names_one() -> None:
    red = torch.zeros(50, 3, 16, 16, dtype=torch.uint8)
    red[:, 0] = 200
    recolour = torch.arange(50) < 25
    seen = train.augment(red, torch.ones(50), recolour, seed=0).mean(dim=(2, 3))
    share = seen[:, 0] / seen.sum(dim=1)
    assert share[25:].min() > 0.85  # less contrast greys a little
    assert share[:25].min() < 0.6
    assert seen.min() >= 0
    assert seen.max() <= 255


def test_a_batch_takes_few_groups(encoder: encoders.Encoder) -> None:
    groups = np.arange(60) // 3
    squares = np.broadcast_to(groups.astype(np.uint8)[:, None, None, None], (60, 3, 32, 32))
    batches = train.Batches.of(encoder, [train.Pairs(squares, [("dress",)] * 60, groups=groups)])
    drawn = [set(batches.draw(50, np.random.default_rng(step)).squares[:, 0, 0, 0].tolist()) for step in range(30)]
    assert max(map(len, drawn)) <= train.GROUPS
    assert set().union(*drawn) == set(range(20))


def test_the_learning_rate_rises_then_falls() -> None:
    rates = [train.schedule(step, 100, 10) for step in range(100)]
    assert rates[0] == 0.1
    assert max(rates) == rates[9] == 1
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.001


# ------------------------------------------------------------------------------ small devices, many devices, kills

VIT = {
    "embed_dim": 16,
    "vision_cfg": {"layers": 1, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 32},
    "text_cfg": {"context_length": 16, "vocab_size": 1014, "width": 32, "heads": 2, "layers": 1},
}


def gradient(model: Model, coloured: list[train.Pairs], **how: object) -> tuple[float, torch.Tensor]:
    """Loss and all gradients of one batch, in single precision."""
    encoder = towers_torch.read(model, "cpu")
    train._set_learning(encoder.network, still=True)
    batch = train.Batches.of(encoder, coloured).draw(12, np.random.default_rng(0))
    loss = train.differentiate(encoder, batch, 1, half=False, **how)  # type: ignore[arg-type]
    return loss, torch.cat([value.grad.flatten() for value in encoder.network.parameters() if value.grad is not None])


@pytest.mark.parametrize("piece_size", [1, 5, 100])
@pytest.mark.parametrize("architecture", [TINY, VIT], ids=["convolutions", "vit"])
def test_a_batch_in_pieces_has_the_gradient_of_the_whole(
    tmp_path: Path, coloured: list[train.Pairs], piece_size: int, architecture: dict[str, object]
) -> None:
    model = random_model(tmp_path, architecture=architecture)
    whole, pieces = gradient(model, coloured), gradient(model, coloured, piece_size=piece_size)
    assert math.isclose(whole[0], pieces[0], rel_tol=1e-5)
    assert whole[1].norm() > 0.01
    assert (whole[1] - pieces[1]).norm() < 1e-4 * whole[1].norm()


def test_a_still_training_keeps_the_statistics_of_its_batch_norms(
    encoder: encoders.Encoder, coloured: list[train.Pairs]
) -> None:
    def statistics() -> list[torch.Tensor]:
        return [value.clone() for name, value in encoder.network.named_buffers() if "running" in name]

    before = statistics()
    train.fit(encoder, coloured, steps=2, batch_size=8, still=True)
    assert before
    assert all(torch.equal(one, other) for one, other in zip(before, statistics(), strict=True))
    train.fit(encoder, coloured, steps=2, batch_size=8)
    assert not all(torch.equal(one, other) for one, other in zip(before, statistics(), strict=True))


def test_weights_between_the_start_and_the_end(encoder: encoders.Encoder, coloured: list[train.Pairs]) -> None:
    start = {name: value.clone() for name, value in encoder.network.state_dict().items()}
    train.fit(encoder, coloured, steps=2, batch_size=8, learning_rate=1e-2)
    end = encoder.network.text_projection.clone()
    train.mix(encoder, start, 0.25)
    assert torch.allclose(encoder.network.text_projection, 0.75 * start["text_projection"] + 0.25 * end, atol=1e-6)
    train.mix(encoder, start, 0.0)
    assert torch.equal(encoder.network.text_projection, start["text_projection"])


HOW = {"steps": 6, "batch_size": 12, "learning_rate": 1e-2, "still": True, "half": False}


def test_two_processes_train_as_one(tmp_path: Path, coloured: list[train.Pairs]) -> None:
    """torchrun over gloo; each takes half of every batch."""
    model = random_model(tmp_path, architecture=VIT)
    for name in ("alone", "two"):
        errands.write(tmp_path / name, model, coloured, **HOW)
    errands.work(tmp_path / "alone")
    results = [json.loads((tmp_path / "alone" / "result.json").read_text()), errands.run(tmp_path / "two", 2)]
    weights = [load_file(tmp_path / name / errands.WEIGHTS) for name in ("alone", "two")]
    assert [result["processes"] for result in results] == [1, 2]
    assert math.isclose(results[0]["loss"], results[1]["loss"], rel_tol=1e-4)
    start = load_file(model.weights)
    for name, value in weights[0].items():
        moved = (value.float() - start[name].float()).norm()
        assert (value.float() - weights[1][name].float()).norm() <= 0.02 * moved + 1e-6, name


def test_a_training_killed_at_any_moment_goes_on_to_the_same_end(tmp_path: Path, coloured: list[train.Pairs]) -> None:
    """SIGKILL, twice, wherever it stands: in a step or in writing its checkpoint."""
    model = random_model(tmp_path, architecture=VIT)
    how = HOW | {"steps": 60, "checkpoint_steps": 1}
    for name in ("whole", "killed"):
        errands.write(tmp_path / name, model, coloured, **how)
    errands.work(tmp_path / "whole")
    whole = json.loads((tmp_path / "whole" / "result.json").read_text())
    log = tmp_path / "killed" / "log.jsonl"
    moments = random.Random()  # no seed: every run of the tests kills elsewhere
    kills = sorted(moments.randrange(1, 55) for _ in range(2))
    for kill in kills:
        child = get_context("fork").Process(
            target=errands.work, args=[tmp_path / "killed"]
        )  # torch is imported already
        child.start()
        while child.is_alive() and not (log.exists() and len(log.read_text().splitlines()) > kill):
            time.sleep(0.005)
        time.sleep(moments.random() * 0.02)
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    errands.work(tmp_path / "killed")
    resumed = json.loads((tmp_path / "killed" / "result.json").read_text())
    assert resumed["steps"] == whole["steps"] == 60, kills
    assert math.isclose(resumed["loss"], whole["loss"], rel_tol=1e-5), kills
    one, other = (load_file(tmp_path / name / errands.WEIGHTS) for name in ("whole", "killed"))
    assert all(torch.allclose(one[name].float(), other[name].float(), atol=1e-3) for name in one), kills


def test_a_rate_that_breaks_the_weights_is_one_clear_error(tmp_path: Path, coloured: list[train.Pairs]) -> None:
    errands.write(tmp_path / "nan", random_model(tmp_path), coloured, steps=3, batch_size=8, learning_rate=1e30)
    with pytest.raises(ModelError, match=r"^the loss is nan at step 1; train with less than learning_rate=1e\+30$"):
        errands.work(tmp_path / "nan")
    assert not (tmp_path / "nan" / errands.WEIGHTS).exists()


def test_power_is_read_where_the_driver_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with power.Meter() as meter:
        pass
    assert meter.watts is None or meter.watts > 0
    board = tmp_path / "nvidia-smi"
    board.write_text("#!/bin/sh\necho 100.5\necho 200\n")
    board.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(power, "EVERY_S", 0.01)
    with power.Meter() as meter:
        while len(meter.samples) < 3:
            time.sleep(0.01)
    assert meter.watts == pytest.approx(300.5)
    board.write_text("#!/bin/sh\necho '[N/A]'\n")
    assert power._draw() is None
