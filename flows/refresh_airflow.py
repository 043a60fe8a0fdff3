"""The same refresh for Airflow, where Metaflow lets one step alone stand between a split and its join.

    pluribus deploy airflow --to dag.py      (or: python flows/refresh_airflow.py run --shops all)

So three splits follow each other, and the GPU is still held by `embed` alone. Who can choose takes Argo: a step and a
machine for each stage. This flow has the same name, so that clients and cards find its runs where they look.
"""

from base import begin
from metaflow import card, retry, step
from stages import Deployed, Stages


@Deployed
class RefreshFlow(Stages):
    """Refresh shops: their newest catalogs in, published and searchable releases out; in fewer, larger steps.

    1. start    read the configuration, register the shared models, pack shops into batches
    2. prepare  ingest, validate
    3. embed    new content -> unit vectors, by the one shared encoder (the only GPU step)
    4. release  build, evaluate, publish
    5. join, end one table of all shops
    """

    @card(type="blank", id="plan")
    @step
    def start(self):
        """Check every name, register the models, pack the shops into batches."""
        self.plan()
        self.next(self.prepare, foreach="batches")

    @card(type="blank", id="validate")
    @card(type="blank", id="ingest")
    @retry(times=2)
    @step
    def prepare(self):
        """Read each shop's feeds and pictures into a snapshot; judge its rows."""
        self.take()
        self.advance("ingest", self.ingest_shop)
        self.advance("validate", self.validate_shop)
        self.next(self.prepared)

    @step
    def prepared(self, inputs):
        """Wait for all batches."""
        self.gather(inputs)
        self.next(self.to_embed)

    @step
    def to_embed(self):
        """A join cannot split."""
        self.next(self.embed, foreach="batches")

    @card(type="blank", id="embed")
    @retry(times=2)
    @step
    def embed(self):
        """Encode new pictures and texts of all shops together, once and for all, with the shared model."""
        self.take()
        self.embed_together()
        self.next(self.embedded)

    @step
    def embedded(self, inputs):
        """Wait for all batches."""
        self.gather(inputs)
        self.next(self.to_release)

    @step
    def to_release(self):
        """A join cannot split."""
        self.next(self.release, foreach="batches")

    @card(type="blank", id="publish")
    @card(type="blank", id="evaluate")
    @card(type="blank", id="build")
    @retry(times=2)
    @step
    def release(self):
        """Build and measure each shop's release, and switch the shop to it if the verdict allows."""
        self.take()
        self.advance("build", self.build_shop)
        self.advance("evaluate", self.evaluate_shop)
        self.advance("publish", self.publish_shop)
        self.next(self.join)

    def gather(self, inputs):
        """Every batch as it stands now, for the next split."""
        self.batches = [(task.batch, task.jobs, task.load_s) for task in inputs]
        self.merge_artifacts(inputs, include=["store_url", "hour_price", "started", "wave", "lost"])


if __name__ == "__main__":
    begin(RefreshFlow)
