"""What training costs: money and carbon of its GPUs, by the method behind Table 1 of "Mo' models, mo' problems".

Money is the rent of a machine with one GPU; carbon is the GPU's board power times the grid's intensity, as the
calculator of Lacoste et al. (2019, arXiv 1910.09700) has it: no processor, no cooling, no idle time. So both are
floors. The defaults are the keynote's: a p3.2xlarge on demand, a V100's 250 W, the grid of us-west-2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one training: exact, and as the keynote's table prints it."""

    minutes: float
    usd: float
    kwh: float
    kg_co2eq: float
    printed_usd: int  # truncated, not rounded
    printed_kg: float  # energy and intensity are each rounded to hundredths before they are multiplied


def cost(
    minutes: float,
    *,
    gpus: int = 1,
    usd_per_gpu_hour: float = 3.06,
    gpu_watts: float = 250.0,
    kg_per_kwh: float = 0.2976,
) -> Cost:
    """The cost of `minutes` on `gpus` GPUs. `gpu_watts` is the board's rating, or what was measured of it."""
    hours = gpus * minutes / 60
    kwh = hours * gpu_watts / 1000
    return Cost(
        minutes=minutes,
        usd=hours * usd_per_gpu_hour,
        kwh=kwh,
        kg_co2eq=kwh * kg_per_kwh,
        printed_usd=int(hours * usd_per_gpu_hour),
        printed_kg=round(round(kwh, 2) * round(kg_per_kwh, 2), 2),
    )


def mean_watts(samples: Sequence[tuple[float, float]]) -> float | None:
    """Mean power of (seconds, watts) readings, each held until the next; None where nothing was read twice."""
    if len(samples) < 2 or samples[-1][0] <= samples[0][0]:
        return None
    joules = sum((then - now) * watts for (now, watts), (then, _) in pairwise(samples))
    return joules / (samples[-1][0] - samples[0][0])
