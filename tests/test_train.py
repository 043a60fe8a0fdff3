"""Contrastive training: it learns, resumes where it was killed, and knows whose caption is whose."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from test_models import random_model

from pluribus import train
from pluribus.errors import ConfigError, ModelError
from pluribus.models import encoders, towers_torch

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
