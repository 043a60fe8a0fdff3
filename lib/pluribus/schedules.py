"""When shops are refreshed: cron expressions and daily windows, read strictly. All times are UTC.

A fleet has one schedule that starts a run of `--shops due`; each shop says how often it wants to be refreshed and in
which hours of the day it may be. So a schedule is changed in a shop's file, and never redeployed.
"""

import re
from datetime import datetime, time

FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
PART = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?")
WINDOW = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")


def cron(text: str) -> str:
    """A cron expression of five fields, single spaces. Raises ValueError saying which field is wrong."""
    fields = text.split()
    if len(fields) != len(FIELDS):
        raise ValueError(f"five fields (minute hour day month weekday), like '17 * * * *'; {len(fields)} came")
    for field, (name, least, most) in zip(fields, FIELDS, strict=True):
        for part in field.split(","):
            match = PART.fullmatch(part)
            numbers = [int(n) for n in match.groups()[:2] if n] if match else []
            if not match or numbers != sorted(numbers) or any(not least <= n <= most for n in numbers):
                raise ValueError(f"a {name} of {least} to {most}, like '*', '*/5' or '1-3'; {field!r} came")
            if match[3] and not 0 < int(match[3]) <= most:
                raise ValueError(f"a step of 1 to {most} for the {name}; {field!r} came")
    return " ".join(fields)


def eventbridge(text: str) -> str:
    """A cron expression in the words of AWS EventBridge: a year besides, and days of the week from 1, Sunday, to 7.

    Raises ValueError where it cannot say the same: it takes no two conditions on a day.
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
    """
    *fields, weekday = (
        ",".join(_spelled(part, least, most) for part in field.split(","))
        for field, (_, least, most) in zip(cron(text).split(), FIELDS, strict=True)
    )
    day = fields[2]
    if day != "*" and weekday != "*":
        raise ValueError(f"days of the month or of the week, not both, on Step Functions; {text!r} came")
    if weekday == "*":
        weekday = "?"
    else:
        weekday = ",".join(map(str, sorted({int(n) % 7 + 1 for n in weekday.split(",")})))
        fields[2] = "?"
    return " ".join([*fields, weekday, "*"])


def _spelled(part: str, least: int, most: int) -> str:
    """A part of a field as the numbers it stands for; "*" as it is."""
    match = PART.fullmatch(part)
    assert match
    start, end, step = (int(n) if n else None for n in match.groups())
    if start is None and step is None:
        return "*"
    first = least if start is None else start
    last = first if end is None and not step else most if end is None else end
    return ",".join(map(str, range(first, last + 1, step or 1)))


def window(text: str) -> str:
    """A daily window "HH:MM-HH:MM", possibly over midnight; blank: always. Raises ValueError."""
    if text:
        _bounds(text)
    return text


def is_open(text: str, now: datetime) -> bool:
    """Whether a moment in UTC lies in a window."""
    if not text:
        return True
    start, end = _bounds(text)
    at = now.time()
    return start <= at < end if start < end else at >= start or at < end


def _bounds(text: str) -> tuple[time, time]:
    match = WINDOW.fullmatch(text)
    try:
        hours, minutes, until_hours, until_minutes = map(int, match.groups()) if match else (99, 0, 0, 0)
        start, end = time(hours, minutes), time(until_hours, until_minutes)
    except ValueError:
        raise ValueError(f"hours of the day in UTC, like '01:00-05:30'; {text!r} came") from None
    if start == end:
        raise ValueError(f"a window with a beginning and another end; {text!r} came")
    return start, end
