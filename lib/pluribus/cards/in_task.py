"""Metaflow's cards, drawn by the task whose cards they are.

Metaflow starts a process for each card (two where a card may change while its step runs), and each of them imports
Metaflow and the flow again. Ours are whole when their step ends and take milliseconds to draw: so the very command that
Metaflow would start is called where it is.
"""

from collections.abc import Sequence
from copy import copy
from typing import Any


def draw_in_task() -> None:
    """To be called where a flow is defined, before any step of it runs."""
    from metaflow.plugins.cards.card_creator import CardCreator
    from metaflow.plugins.cards.card_modules.basic import BlankCard

    BlankCard.RUNTIME_UPDATABLE = False
    CardCreator._run_command = _drawn_here


def _drawn_here(creator: Any, command: Sequence[str], *_: Any, **__: Any) -> tuple[bytes, bool]:
    """What the command said, and whether it failed: Metaflow logs that, and no card fails a task."""
    if "--component-file" not in command:  # a step with nothing to show; Metaflow's empty card is 1.1 MB
        return b"", False
    from metaflow._vendor import click
    from metaflow.plugins.cards import card_cli

    interpreter_and_flow, group = 2, 1
    arguments = list(command[interpreter_and_flow + len(creator._top_level_options) + group :])
    task = click.get_current_context()
    told = copy(task.obj)  # the command turns its datastore to where cards lie: not the task's own
    told.flow_datastore = copy(told.flow_datastore)
    told.flow_datastore._storage_impl = copy(told.flow_datastore._storage_impl)
    try:
        with card_cli.card.make_context("card", arguments, parent=task, obj=told) as context:
            card_cli.card.invoke(context)
    except Exception as error:  # noqa: BLE001 - whatever it is, the step itself is done
        return f"{type(error).__name__}: {error}".encode(), True
    return b"", False
