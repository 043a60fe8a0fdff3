"""Tails: how uneven demand is, and whether a shop's demand is its own. The only owner of powerlaw.

A few queries make most of the traffic, and a long tail makes the rest: what serves the head is cheap, and what serves
the tail decides the economics. Counts go in: how often each query was asked, or each product looked at.
"""

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

LEAST = 100  # items a tail needs: below, no law can be told from another
LEAST_VALUES = 4  # and so many different counts
SURE = 0.05
CANDIDATES = 40  # for x_min, evenly over the logarithm
MOST = 200_000  # items that powerlaw is given, drawn by a fixed seed: it reads all of them at every step
EXACT = 2_000  # values above x_min that are summed one by one; beyond, in bins a hundredth wide
ALPHAS = (0.0, 8.0)  # powerlaw's own range ends at 3, and some catalogs' tails are steeper
EDGE = 0.01
HEADS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
DRAWN = 20
POINTS = 150  # of a curve


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Which law the counts from x_min up follow: p(x) ~ x^-alpha, or x^-alpha e^(-rate x). None: not measured."""

    verdict: str  # "power law", "truncated power law", "cannot tell because …"
    x_min: int | None = None
    n: int | None = None  # items that occur x_min times or more
    alpha: float | None = None  # of the plain law
    truncated_alpha: float | None = None
    rate: float | None = None  # lambda of the truncated law
    ratio: float | None = None  # log-likelihood of the plain law less that of the truncated one
    p: float | None = None  # of a ratio as large where there is no truncation
    distance: float | None = None  # Kolmogorov-Smirnov, of the better law
    curve: tuple[dict[str, float | None], ...] = ()  # share of the items that occur `at least` so often


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """How far a shop's distribution is from the pool's: 0 bits are equal, 1 bit has nothing in common."""

    bits: float | None = None
    chance: float | None = None  # what two samples of one distribution, as large as these, would show
    n: int = 0
    pool: int = 0
    why_not: str = ""


def fit(counts: Iterable[int]) -> Fit:
    """The law of the counts' tail; from x_min up, counts and their truncated law are nearest to each other.

    By the plain law, as usual, x_min runs away where there is a cut-off: of x^-1.2 e^(-x/100) from 1 it chose 177, and
    alpha became 1.97. The truncated law holds the plain one (rate 0), so that it serves both.
    """
    x = _occurring(counts)
    if trouble := _too_little(x):
        return Fit(verdict=f"cannot tell because {trouble}")
    x_min, start = _x_min(x)
    tail = x[np.searchsorted(x, x_min) :]
    try:
        plain, truncated, ratio, p = _laws(tail, x_min, start)
    except ArithmeticError:  # mpmath's, where counts lie close together and far from 0
        return Fit(verdict=f"cannot tell because no law could be computed from {x_min:,} up")
    is_truncated = ratio < 0 and p < SURE
    distances = [_distance(tail, x_min, *law) for law in (plain, truncated)]
    name, distance = ("truncated power law", distances[1]) if is_truncated else ("power law", distances[0])
    most = 1.36 / math.sqrt(len(tail))  # 5 % of the samples of a law known beforehand are farther; fitted ones, fewer
    alpha = (truncated if is_truncated else plain)[0]
    if not ALPHAS[0] + EDGE < alpha < ALPHAS[1] - EDGE:
        name = f"cannot tell because alpha ran to {alpha:.3g}, an end of what was tried (the {name} is nearer)"
    elif distance > most:
        name = f"cannot tell because neither law fits: KS {distance:.3f} over {most:.3f} (the {name} is nearer)"
    return Fit(
        verdict=name,
        x_min=x_min,
        n=len(tail),
        alpha=plain[0],
        truncated_alpha=truncated[0],
        rate=truncated[1],
        ratio=ratio,
        p=p,
        distance=distance,
        curve=_curve(x, x_min, plain, truncated),
    )


def head(counts: Iterable[int], shares: Iterable[float] = HEADS) -> list[dict[str, float]]:
    """What the top share of the items makes of all events, as rows; nothing where nothing occurred."""
    x = _occurring(counts)[::-1]
    made = np.cumsum(x)
    tops = sorted({max(1, math.ceil(share * len(x) - 1e-9)) for share in shares}) if len(x) else []
    return [{"top": top / len(x), "items": top, "events": float(made[top - 1] / made[-1])} for top in tops]


def head_curve(counts: Iterable[int]) -> list[dict[str, float]]:
    """The same for a plot: every share of the items, thinned."""
    x = _occurring(counts)
    tops = np.unique(np.geomspace(1, max(len(x), 1), POINTS).round().astype(int))
    return head(x, tops / len(x)) if len(x) else []


def half(counts: Iterable[int]) -> float | None:
    """The smallest share of the items that makes half of all events."""
    x = _occurring(counts)[::-1]
    made = np.cumsum(x)
    return float((np.searchsorted(made, made[-1] / 2) + 1) / len(x)) if len(x) else None


def divergence(own: Mapping[str, int], pool: Mapping[str, int]) -> Divergence:
    """Jensen-Shannon divergence, in bits, of a shop's counts from the pool's.

    Rare names alone make two samples of one distribution differ, so what they would show by chance stands beside it.
    """
    names = list({**own, **pool})
    p, q = (np.array([side.get(name, 0) for name in names], dtype=np.int64) for side in (own, pool))
    n, m = int(p.sum()), int(q.sum())
    if not n or not m:
        return Divergence(n=n, pool=m, why_not=f"{'the shop' if not n else 'the pool'} has none")
    chance = [_bits(part, p + q - part) for part in _parts(p + q, n)]
    return Divergence(bits=_bits(p, q), chance=float(np.mean(chance)), n=n, pool=m)


# ---------------------------------------------------------------------------------------------------------- the laws


def _occurring(counts: Iterable[int]) -> np.ndarray:
    """The counts above 0, the smallest first: what nobody asked is in no log."""
    x = np.sort(np.fromiter(counts, dtype=np.int64))
    return x[x > 0]


def _too_little(x: np.ndarray) -> str:
    if len(x) < LEAST:
        return f"{len(x):,} different items occurred, and {LEAST} are needed"
    if len(different := np.unique(x)) < LEAST_VALUES:
        return f"items occurred in {len(different)} different frequencies only, and {LEAST_VALUES} are needed"
    return ""


def _x_min(x: np.ndarray) -> tuple[int, tuple[float, float]]:
    """Where the law begins, and a first fit from there."""
    values, first = np.unique(x, return_index=True)
    room = min(int(np.searchsorted(-(len(x) - first), -LEAST, side="right")), len(values) - LEAST_VALUES + 1)
    chosen = np.unique(np.geomspace(1, room, min(CANDIDATES, room)).round().astype(int)) - 1
    found = []
    for i in chosen:
        tail, x_min = x[first[i] :], int(values[i])
        law = _likeliest(tail, x_min)
        found.append((_distance(tail, x_min, *law), x_min, law))
    return min(found)[1:]


def _likeliest(tail: np.ndarray, x_min: int) -> tuple[float, float]:
    """alpha and rate by maximum likelihood: quick, where powerlaw takes 1.2 CPU-seconds for each x_min (lerchphi)."""
    from scipy.optimize import minimize

    _, middles, widths = _grid(x_min)
    logs, mean_log, mean = np.log(middles), float(np.log(tail).mean()), float(tail.mean())

    def loss(law: np.ndarray) -> tuple[float, np.ndarray]:
        mass = widths * np.exp(-law[0] * (logs - logs[0]) - law[1] * (middles - x_min) / mean)
        total = mass.sum()
        value = math.log(total) + law[0] * (mean_log - logs[0]) + law[1] * (mean - x_min) / mean
        slope = [mean_log - (mass @ logs) / total, 1 - (mass @ middles) / total / mean]
        return value, np.array(slope)

    found = minimize(loss, (2.0, 0.1), jac=True, bounds=(ALPHAS, (0.0, None)), method="L-BFGS-B")
    return float(found.x[0]), float(found.x[1] / mean)


def _laws(
    tail: np.ndarray, x_min: int, start: tuple[float, float]
) -> tuple[tuple[float, float], tuple[float, float], float, float]:
    """Both laws by powerlaw from a first fit, as (alpha, rate), and their likelihood ratio with its p."""
    data = tail if len(tail) <= MOST else np.random.default_rng(0).choice(tail, MOST, replace=False)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of steps of its search that left the range, and of its imports
        import powerlaw

        asked: dict[str, Any] = {"data": data.astype(float), "xmin": float(x_min), "discrete": True, "verbose": 0}
        ranges = {"parameter_ranges": {"alpha": (1.001, ALPHAS[1])}}  # at 1 the plain law has no sum
        plain = powerlaw.Power_Law(**asked, **ranges, estimate_discrete=False)
        begin = {"alpha": max(start[0], 0.01), "Lambda": max(start[1], 1e-3 / float(data.mean()))}
        truncated = powerlaw.Truncated_Power_Law(**asked, parameters=begin, parameter_ranges={"alpha": ALPHAS})
        said = [law.loglikelihoods(asked["data"]) for law in (plain, truncated)]
        ratio, p = powerlaw.loglikelihood_ratio(*said, nested=True)
    laws = (float(plain.alpha), 0.0), (float(truncated.alpha), float(truncated.Lambda))
    return *laws, float(ratio), float(p)


def _grid(x_min: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The whole numbers from x_min up in bins: their starts, middles and widths; the first EXACT hold one number."""
    near = np.arange(x_min, x_min + EXACT, dtype=float)
    far = np.floor((near[-1] + 1) * 1.01 ** np.arange(0, 3_000))  # 1e13 times farther
    starts = np.concatenate([near, np.unique(far)])
    return starts[:-1], (starts[:-1] + starts[1:] - 1) / 2, np.diff(starts)


def _reach(x_min: int, alpha: float, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """The share of a law's items that occur at least so often, at the starts of the bins."""
    starts, middles, widths = _grid(x_min)
    mass = widths * np.exp(-alpha * np.log(middles / x_min) - rate * (middles - x_min))
    beyond = mass[::-1].cumsum()[::-1]
    return starts, beyond / beyond[0]


def _distance(tail: np.ndarray, x_min: int, alpha: float, rate: float) -> float:
    """Kolmogorov-Smirnov: the largest difference of the shares that occur at least so often."""
    starts, law = _reach(x_min, alpha, rate)
    within = starts <= tail[-1] + 1
    seen = 1 - np.searchsorted(tail, starts[within]) / len(tail)
    return float(np.abs(seen - law[within]).max())


def _curve(
    x: np.ndarray, x_min: int, plain: tuple[float, float], truncated: tuple[float, float]
) -> tuple[dict[str, float | None], ...]:
    values = np.unique(x)
    chosen = values[np.unique(np.geomspace(1, len(values), POINTS).round().astype(int)) - 1]
    seen = 1 - np.searchsorted(x, chosen) / len(x)
    lines = []
    for law in (plain, truncated):
        starts, share = _reach(x_min, *law)
        logs = np.interp(np.log(chosen), np.log(starts), np.log(np.maximum(share, 1e-300)))
        lines.append(np.exp(logs) * (x >= x_min).mean())
    rows = zip(chosen.tolist(), seen.tolist(), *(line.tolist() for line in lines), strict=True)
    return tuple(
        {"at least": value, "items": share}
        | {name: y if value >= x_min else None for name, y in (("power law", one), ("truncated power law", other))}
        for value, share, one, other in rows
    )


def _parts(both: np.ndarray, n: int) -> Iterator[np.ndarray]:
    """n of these events, drawn blindly, again and again."""
    rng = np.random.default_rng(0)
    for _ in range(DRAWN):
        if both.sum() < 10**9:  # numpy's limit
            yield rng.multivariate_hypergeometric(both, n, method="marginals")
        else:
            yield np.minimum(rng.multinomial(n, both / both.sum()), both)


def _bits(p: np.ndarray, q: np.ndarray) -> float:
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    return float(sum(0.5 * (side[side > 0] * np.log2(side[side > 0] / middle[side > 0])).sum() for side in (p, q)))
