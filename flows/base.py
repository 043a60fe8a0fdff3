"""What every flow has in common: where its configuration and its store are, and how it begins."""

import os
from pathlib import Path

from metaflow import FlowSpec, Parameter

from pluribus.cards import in_task  # at the top, so that Metaflow's code package carries pluribus to clusters

HERE = Path(__file__).resolve().parents[1]
#: numpy's products of matrices wait for their threads by spinning: beside another task they cost 3 to 20 times the CPU.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # `launch` and `deploy` say more where there are more cores
in_task.draw_in_task()


class StoreFlow(FlowSpec):
    """A flow whose steps share one store: keys, counts and scores travel between them, everything else lies there."""

    config = Parameter(
        "config", default=os.environ.get("PLURIBUS_CONFIG", str(HERE / "config")), help="a folder, or s3://…"
    )
    store_at = Parameter(
        "store", default=os.environ.get("PLURIBUS_STORE", ""), help="a store in place of the configured one"
    )

    def open_store(self):
        """The store of this run."""
        from pluribus.store import open_store

        os.environ.setdefault("AWS_RETRY_MODE", "standard")  # jittered back-off: a store that is down for a minute
        os.environ.setdefault("AWS_MAX_ATTEMPTS", "14")  # costs a run that minute (95 s on average), and nothing else
        return open_store(self.store_url)


def begin(flow):
    """Hand over to Metaflow."""
    if os.environ.get("USER", "root") == "root":  # Metaflow refuses both root and nobody
        os.environ.setdefault("USERNAME", "pluribus")
    flow()
