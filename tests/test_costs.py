"""Costs: the keynote's figures from its minutes, and what was measured in place of what was rated."""

import pytest

from pluribus import costs


@pytest.mark.parametrize(("minutes", "usd", "kg"), [(618, 31, 0.77), (617, 31, 0.77), (621, 31, 0.78)])
def test_table_1_to_the_digit(minutes: float, usd: int, kg: float) -> None:
    """FashionCLIP's three learning rates, 1e-4, 1e-5 and 1e-6."""
    found = costs.cost(minutes)
    assert (found.printed_usd, found.printed_kg) == (usd, kg)


def test_cost_grows_with_time_gpus_and_power() -> None:
    one = costs.cost(30, usd_per_gpu_hour=2, gpu_watts=500, kg_per_kwh=0.4)
    assert (one.usd, one.kwh, one.kg_co2eq) == pytest.approx((1.0, 0.25, 0.1))
    four = costs.cost(30, gpus=4, usd_per_gpu_hour=2, gpu_watts=500, kg_per_kwh=0.4)
    assert (four.usd, four.kwh, four.kg_co2eq) == pytest.approx((4.0, 1.0, 0.4))


def test_measured_power_is_the_mean_over_time_not_over_readings() -> None:
    assert costs.mean_watts([(0, 100), (9, 300), (10, 300)]) == pytest.approx(120)
    assert costs.mean_watts([(0, 100)]) is None
    assert costs.mean_watts([]) is None
