"""Schedules are read strictly, and a window may reach over midnight."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pluribus import plan, schedules, settings
from pluribus.errors import ConfigError
from pluribus.records import Shop

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("text", ["17 * * * *", "*/5 0-6 1,15 * 1-5", "0  3 * *  0", "59 23 31 12 7"])
def test_crons_that_are_meant(text: str) -> None:
    assert schedules.cron(text) == " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hourly", "five fields"),
        ("* * * *", "4 came"),
        ("60 * * * *", "minute of 0 to 59"),
        ("* 9-5 * * *", "hour of 0 to 23"),
        ("*/0 * * * *", "step of 1"),
        ("* * 0 * *", "day of month of 1 to 31"),
        ("* * * JAN *", "month of 1 to 12"),
    ],
)
def test_crons_that_cannot_be_parsed_say_which_field(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        schedules.cron(text)


@pytest.mark.parametrize(
    ("cron", "there"),
    [
        ("17 * * * *", "17 * * * ? *"),
        ("10-50/20 2 1,15 */4 *", "10,30,50 2 1,15 1,5,9 ? *"),
        ("0 3 * * 1-5", "0 3 ? * 2,3,4,5,6 *"),
        ("0 3 * * 5-7", "0 3 ? * 1,6,7 *"),
        ("5/20 0 * * 0", "5,25,45 0 ? * 1 *"),
    ],
)
def test_a_cron_in_the_words_of_eventbridge(cron: str, there: str) -> None:
    assert schedules.eventbridge(cron) == there


@pytest.mark.parametrize(
    ("window", "hour", "opened"),
    [("", 12, True), ("01:00-05:00", 1, True), ("01:00-05:00", 5, False), ("22:00-02:00", 23, True),
     ("22:00-02:00", 1, True), ("22:00-02:00", 2, False)],
)  # fmt: skip
def test_windows(window: str, hour: int, opened: bool) -> None:
    assert schedules.is_open(window, datetime(2026, 1, 1, hour, tzinfo=UTC)) is opened


def test_a_shop_outside_its_window_is_not_due() -> None:
    shops = [Shop(name="night", window="01:00-05:00"), Shop(name="always")]
    assert [s.name for s in plan.due(shops, [], datetime(2026, 1, 1, 12, tzinfo=UTC))] == ["always"]


def test_a_schedule_that_cannot_be_parsed_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "shops").mkdir()
    head = f'store = "s"\nmodels = "{ROOT}/config/models"\n'
    (tmp_path / "pluribus.toml").write_text(head + '[deploy]\nschedule = "every night"\n')
    with pytest.raises(ConfigError, match=r"pluribus.toml: deploy.* expected .*five fields .*2 came"):
        settings.load(str(tmp_path))
    (tmp_path / "pluribus.toml").write_text(head)
    (tmp_path / "shops" / "a.toml").write_text('window = "at night"\n')
    with pytest.raises(ConfigError, match=r"a.toml: window = 'at night'; expected hours of the day"):
        settings.load(str(tmp_path))
