"""What every verb shares: the options before it, the configuration, the store.

Nothing but this package and flows/ reads the configuration.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from pluribus.errors import ConfigError

HERE = Path(__file__).resolve().parents[3]  # the checkout: flows/ and config/ lie beside lib/
FLOW = HERE / "flows" / "refresh.py"
FINETUNE = HERE / "flows" / "finetune.py"
BENCHMARK = HERE / "flows" / "benchmark.py"
RESULTS = Annotated[bool, typer.Option("--json", help="answer in JSON")]

app = typer.Typer(
    help="One shared model and one DAG for every shop.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def as_it_was(context: typer.Context, *still: str) -> None:
    """Raises ConfigError where other options than `still` stand beside --resume: a run goes on as it was begun."""
    told = [f"--{name.replace('_', '-')}" for name in context.params if name not in still
            and getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"]  # fmt: skip
    if told:
        raise ConfigError(f"{', '.join(told)} beside --resume", expected="the options that the run has", do="leave out")


@dataclass
class Context:
    """What the options before the verb said."""

    config: str
    store: str
    debug: bool

    def settings(self) -> Any:
        """The configuration, read and checked."""
        from pluribus import settings

        return settings.load(self.config, store=self.store)

    def open_store(self) -> Any:
        """The store, without reading shops or models when it was named on the command line."""
        from pluribus.store import open_store

        return open_store(self.store or self.settings().store)

    def shop_store(self, shop: str) -> Any:
        """The part of the store that is this shop's, for shops that were refreshed at least once."""
        store = self.open_store()
        if not any(True for _ in store.items(f"shops/{shop_name(shop)}/")):
            raise ConfigError(
                f"shop {shop!r} has nothing in {store.url}",
                expected="a shop that was refreshed",
                do=f"run: pluribus refresh --shops {shop}",
            )
        return store.within(f"shops/{shop}")


@app.callback()
def _options(
    context: typer.Context,
    config: Annotated[str, typer.Option(envvar="PLURIBUS_CONFIG", help="configuration: a folder, or s3://…")] = str(
        HERE / "config"
    ),
    store: Annotated[str, typer.Option(envvar="PLURIBUS_STORE", help="a store in place of the configured one")] = "",
    debug: Annotated[
        bool, typer.Option(envvar="PLURIBUS_DEBUG", help="show tracebacks and every line of the flow")
    ] = False,
) -> None:
    context.obj = Context(config, store, debug)


def shop_name(shop: str) -> str:
    """A shop's name as it was typed, once it is known to be one. Raises ConfigError."""
    from pluribus.settings import SHOP_NAME

    if not SHOP_NAME.fullmatch(shop):
        raise ConfigError(f"shop name {shop!r}", expected="1 to 63 of a-z, 0-9, '-', '_'")
    return shop
