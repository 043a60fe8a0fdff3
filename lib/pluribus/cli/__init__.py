"""The command line. Every verb answers people with a table, and machines with `--json`.

What goes wrong is one line on standard error and an exit code that is not 0; `--debug` shows where it came from.
"""

import os
import sys
from typing import NoReturn

from pluribus.cli import (  # noqa: F401 - each adds its verbs to `app`
    accounting,
    backfilling,
    benchmarking,
    bundled,
    deploying,
    evaluating,
    finding,
    generating,
    inspecting,
    operating,
    probing,
    reading,
    refreshing,
    serving,
    tailing,
    tenants,
    training,
    using,
)
from pluribus.cli.context import app
from pluribus.errors import ConfigError, PluribusError


def main() -> None:
    """Run a verb; turn what is wrong with its input into one line."""
    try:
        app()
    except PluribusError as error:
        _say(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # a file that an option names
        if error.filename is None:
            raise
        _say(ConfigError(f"{error.filename}: {error.strerror}", expected="a file that can be read or written there"))


def _say(error: PluribusError) -> NoReturn:
    """What is wrong, in one line; with --debug where it came from."""
    if "--debug" in sys.argv or os.environ.get("PLURIBUS_DEBUG"):
        raise error
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2 if isinstance(error, ConfigError) else 1)
