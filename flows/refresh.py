"""RefreshFlow: the one parametrised DAG that serves every shop.

pluribus refresh --shops all      (or: python flows/refresh.py run --shops all)
"""

from base import begin
from metaflow import card, retry, step
from stages import Deployed, Stages


@Deployed
class RefreshFlow(Stages):
    """Refresh shops: their newest catalogs in, published and searchable releases out.

    1. start     read the configuration, register the shared models, pack shops into batches
    2. ingest    feeds and pictures -> an immutable snapshot of canonical rows
    3. validate  Great Expectations accept rows, or quarantine them with reasons
    4. embed     new content -> unit vectors, by the one shared encoder (the only GPU step)
    5. build     vectors -> the index and the other files of a release
    6. evaluate  measure the release; a verdict
    7. publish   switch the shop to its release, atomically, if the verdict allows
    8. join, end one table of all shops
    """

    @card(type="blank", id="plan")
    @step
    def start(self):
        """Check every name, register the models, pack the shops into batches."""
        self.plan()
        self.next(self.ingest, foreach="batches")

    @card(type="blank", id="ingest")
    @retry(times=2)
    @step
    def ingest(self):
        """Read each shop's feeds and pictures into an immutable snapshot; go no further where nothing changed."""
        self.take()
        self.advance("ingest", self.ingest_shop)
        self.next(self.validate)

    @card(type="blank", id="validate")
    @retry(times=2)
    @step
    def validate(self):
        """Judge the rows: accepted ones go on, the others are quarantined with every reason."""
        self.advance("validate", self.validate_shop)
        self.next(self.embed)

    @card(type="blank", id="embed")
    @retry(times=2)
    @step
    def embed(self):
        """Encode new pictures and texts of all shops together, once and for all, with the shared model."""
        self.embed_together()
        self.next(self.build)

    @card(type="blank", id="build")
    @retry(times=2)
    @step
    def build(self):
        """Fuse the vectors, build and measure the index: the files of a release, not yet public."""
        self.advance("build", self.build_shop)
        self.next(self.evaluate)

    @card(type="blank", id="evaluate")
    @retry(times=2)
    @step
    def evaluate(self):
        """Measure each release against chance, thresholds and the live release: a verdict."""
        self.advance("evaluate", self.evaluate_shop)
        self.next(self.publish)

    @card(type="blank", id="publish")
    @retry(times=2)
    @step
    def publish(self):
        """Switch each shop that passed to its new release, in one atomic step."""
        self.advance("publish", self.publish_shop)
        self.next(self.join)


if __name__ == "__main__":
    begin(RefreshFlow)
