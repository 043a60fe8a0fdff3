"""BenchmarkFlow: any models of the configuration on any data sets, beside what was published.

    pluribus benchmark --models mini --data shop:atelier,folder:PATH      (or: python flows/benchmark.py run …)

Only keys and scores travel between the steps; pictures, weights and the tables lie in the store.
"""

from datetime import UTC, datetime
from itertools import product

from base import StoreFlow, begin
from metaflow import Parameter, card, current, resources, step

from pluribus.errors import plainly


class BenchmarkFlow(StoreFlow):
    """Models x data sets: the keynote's Table 2 (title -> picture) and Table 3 (zero-shot classification).

    1. start    check every name; data sets and models into the store
    2. measure  one model on one data set, on a GPU where there is one
    3. join     both tables, published rows beside ours: card, CSV, Markdown, report
    """

    models = Parameter("models", default="mini", help="names separated by commas, or all")
    data = Parameter("data", required=True, help="shop:NAME, folder:PATH, fmnist:PATH, csv:PATH; separated by commas")
    most = Parameter("most", default=10_000, help="pictures of a data set, drawn by a fixed seed")

    @step
    def start(self):
        """Check every name; a model whose weights are not there is noted, and the others go on."""
        from pluribus import models, settings
        from pluribus.benchmark import sets
        from pluribus.errors import ModelError

        self.started = datetime.now(UTC)
        with plainly():
            config = settings.load(self.config, store=self.store_at)
            wanted = sets.asked(self.data)
            names = config.models if self.models == "all" else sets.names(self.models)
            self.asked = [config.model(name) for name in names]
            self.store_url = config.store
            self.sets = sets.gather(self.open_store(), wanted, self.most)
            self.fingerprints, self.absent = {}, {}
            for model in self.asked:
                try:
                    self.fingerprints[model.name] = models.register(self.open_store(), model)
                except ModelError as error:
                    self.absent[model.name] = str(error)
        self.cells = list(product(self.sets, self.asked))
        self.next(self.measure, foreach="cells")

    @resources(gpu=1, memory=16_000)
    @step
    def measure(self):
        """One model on one data set."""
        from pluribus import jobs
        from pluribus.benchmark import measuring

        of, model = self.input
        with plainly():
            if why := self.absent.get(model.name):
                self.rows = measuring.unmeasured(of, model.name, why)
            else:
                self.rows = measuring.measure(self.open_store(), of, model, self.fingerprints[model.name])
        state = "measured" if any(row.scores for row in self.rows) else f"not measured, because {self.rows[0].why}"
        print(f"{jobs.SAID}{model.name} on {of.name}: {state}")
        self.next(self.join)

    @card(type="blank", id="benchmark")
    @step
    def join(self, inputs):
        """Both tables, and where they lie."""
        from pluribus.benchmark import published, tables
        from pluribus.cards import trials

        self.merge_artifacts(inputs, include=["store_url", "started", "sets", "fingerprints"])
        ours = [row for one in inputs for row in one.rows]
        self.rows = [*ours, *published.rows(self.sets)]
        facts = {"run": current.run_id, "started": self.started, "finished": datetime.now(UTC),
                 "models": self.fingerprints, "data": [vars(of) for of in self.sets],
                 "measured": sum(bool(row.scores) for row in ours)}  # fmt: skip
        prefix = f"benchmarks/{self.started:%Y%m%dT%H%M%SZ}-{current.run_id}/"
        with plainly():
            self.report = tables.keep(self.open_store(), prefix, self.rows, facts)
        current.card.extend(trials.benchmark(self.rows))
        self.next(self.end)

    @step
    def end(self):
        """Say where the report lies."""
        print(f"report {self.report}")


if __name__ == "__main__":
    begin(BenchmarkFlow)
