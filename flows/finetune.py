"""FineTuneFlow: teach the shared model from shops' own products, and keep what it learned only if nothing is lost.

    pluribus finetune --shops a,b,c --hold-shops d --name ours      (or: python flows/finetune.py run …)

Only keys, losses and scores travel between the steps; examples, weights and the report lie in the store.
"""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

from base import StoreFlow, begin
from metaflow import Parameter, card, current, resources, step

from pluribus.errors import plainly


def names(text):
    """The names of "a,b"."""
    return [part.strip() for part in text.split(",") if part.strip()]


def numbers(text, kind=float, most=float("inf")):
    """The numbers of "1e-4,1e-5". Raises ConfigError."""
    from pluribus.errors import ConfigError

    try:
        found = [kind(part) for part in names(text)]
    except ValueError:
        found = []
    if not found or not all(0 <= number <= most and number < float("inf") for number in found):
        limit = "" if most == float("inf") else f" or above {most:,}"
        raise ConfigError(f"{text!r} among the options", expected=f"numbers separated by commas, none below 0{limit}")
    return list(dict.fromkeys(found))


def catalog(store, shop):
    """The products a shop serves, or else those that the last judgement accepted."""
    from pluribus import releases, validate

    own = store.within(f"shops/{shop}")
    if releases.current(own, shop=shop):
        return releases.open_release(own, shop=shop).path("products.parquet")
    return validate.accepted(own)


class FineTuneFlow(StoreFlow):
    """Fine-tune the shared model: what shops accepted goes in, a model file and a table of what it took come out.

    1. start   accepted products -> examples, each in its split; the external sets
    2. train   each learning rate and seed, on a GPU where there is one; and the start model, untouched
    3. judge   every split and every external set, for each mix of start and trained weights
    4. choose  one table with loss, cost and scores; the winner by a stated rule, or none
    5. end     the report; the winner as a model file
    """

    shops = Parameter("shops", default="all", help="whose products teach: names separated by commas, or all")
    hold_shops = Parameter("hold-shops", default="", help="shops that only judge: what a new customer would get")
    model = Parameter("model", default="mini", help="the model to start from")
    called = Parameter("called", default="tuned", help="the name of the model that comes of it")
    out = Parameter("out", default="", help="the folder to write it to; default: the models of the configuration")
    lrs = Parameter("lrs", default="1e-4,1e-5,1e-6", help="learning rates")
    seeds = Parameter("seeds", default="0", help="seeds: each learning rate is trained with each")
    mixes = Parameter("mixes", default="1,0.5", help="shares of the trained weights; below 1: mixed with the start's")
    epochs = Parameter("epochs", default=4.0, help="how often each picture is seen")
    batch = Parameter("batch", default=256, help="pictures that are compared with each other")
    piece = Parameter("piece", default=0, help="pictures on the device at once; 0: the whole batch")
    external = Parameter(
        "external", default="", help="folders or tars, a folder of pictures a class; separated by commas"
    )
    forget = Parameter("forget", default=0.02, help="largest loss of F1 on any external set")
    held_share = Parameter("held-share", default=0.05, help="of the products: categories, and brands, never trained on")

    @step
    def start(self):
        """Gather examples and external sets into the store; every option is checked before anything is trained."""
        import pyarrow as pa

        from pluribus import jobs, models, plan, settings
        from pluribus.train import gather, handover, judging, tuning

        self.started = datetime.now(UTC)
        with plainly():
            config = settings.load(self.config, store=self.store_at)
            self.store_url, self.prices, self.start_model = config.store, config.prices, config.model(self.model)
            self.folder = self.out or config.models_at
            handover.check_name(self.folder, self.called, self.start_model)
            rates, seeds = numbers(self.lrs), numbers(self.seeds, int, most=2**32 - 1)
            self.shares = numbers(self.mixes, most=1)
            held = names(self.hold_shops)
            chosen = plan.choose(config.shops, self.shops, past=[], now=self.started)
            shops = list(dict.fromkeys([*(shop.name for shop in chosen), *(config.shop(shop).name for shop in held)]))
            store, self.prefix = self.open_store(), f"finetunes/{self.started:%Y%m%dT%H%M%SZ}-{current.run_id}/"
            self.fingerprint = models.register(store, self.start_model)
            found = [gather.examples(catalog(store, shop), shop=shop, model=self.start_model) for shop in shops]
            rows = gather.divide(pa.concat_tables(found), held_shops=held, held_share=self.held_share)
            self.teachers = tuning.keep_examples(store, self.prefix, rows)
            self.external_sets = {
                name: tuning.keep(store, f"{self.prefix}external-{i}.parquet", of)
                for i, (name, of) in enumerate(judging.external(names(self.external)).items())
            }
        self.counts = gather.counts(rows)
        said = ", ".join(f"{name} {n:,}" for name, n in self.counts.items())
        print(f"{jobs.SAID}run {current.run_id}: {len(shops)} shops, model {self.model}: {said}")
        print(f"{jobs.SAID}external: {', '.join(self.external_sets)}")
        self.candidates = [(0.0, 0), *product(filter(None, rates), seeds)]
        self.next(self.train, foreach="candidates")

    @resources(gpu=1, memory=16_000)
    @step
    def train(self):
        """Train one candidate; one that was killed goes on where it stood. The first is the start model itself."""
        from pluribus import jobs
        from pluribus.train import tuning

        (self.learning_rate, self.seed), self.result, self.weights = self.input, {}, ""
        if self.learning_rate:
            how = {"learning_rate": self.learning_rate, "seed": self.seed, "epochs": self.epochs}
            how |= {"batch_size": self.batch, "piece_size": self.piece or None, "attempt": current.task_id}
            with plainly():
                self.result, self.weights = tuning.learn(self.open_store(), self.prefix, **self.known(), **how)
            told = ", ".join(f"{name} {self.result[name]:.3f}" for name in ("loss", "chance", "minutes"))
            print(f"{jobs.SAID}{self.learning_rate:g} seed {self.seed}: {self.result['steps']} steps, {told}")
        self.next(self.judge)

    @resources(gpu=1, memory=16_000)
    @step
    def judge(self):
        """Measure a candidate on every split and external set, at every mix with the start's weights."""
        from pluribus import jobs
        from pluribus.train import choosing, tuning

        asked = {**self.known(), "weights": self.weights, "external": self.external_sets}
        one = choosing.candidate(self.learning_rate, self.seed, self.batch, self.result, vars(self.prices))
        self.judged = []
        for share in self.shares if self.weights else [1.0]:
            with plainly():
                found = tuning.measure(self.open_store(), self.prefix, share=share, **asked)
            self.judged.append(replace(one, share=share, **found))
            said = [f"{s.name} {s.value:.3f}" for of in found.values() for s in of.values() if "mrr" not in s.name]
            print(f"{jobs.SAID}{self.judged[-1].name}: {', '.join(said)}")
        self.next(self.choose)

    @card(type="blank", id="finetune")
    @step
    def choose(self, inputs):
        """One table of all candidates; the winner by the rule, or none."""
        from pluribus.cards import trials
        from pluribus.train import choosing

        kept = ["store_url", "started", "prefix", "start_model", "fingerprint", "folder", "counts"]
        self.merge_artifacts(inputs, include=kept)
        self.judged = [candidate for one in inputs for candidate in one.judged]
        self.weights = {(one.learning_rate, one.seed): one.weights for one in inputs}
        self.choice = choosing.choose(self.judged, self.forget)
        self.table = choosing.rows(self.judged, self.choice.winner)
        self.rule = choosing.RULE.format(forget=self.forget)
        current.card.extend(trials.finetune(self.judged, self.choice, self.table, self.rule, self.counts))
        self.next(self.end)

    @step
    def end(self):
        """The report in the store; the winner as a model file that `pluribus refresh --model` takes."""
        from pluribus import models
        from pluribus.train import choosing, handover, tuning

        store, winner, self.file = self.open_store(), self.choice.winner, ""
        facts = {"shops": self.shops, "held-out shops": self.hold_shops, "rule": self.rule, "splits": self.counts}
        with plainly():
            if winner:
                start, tokenizer = models.placed(store, self.fingerprint, self.start_model)
                weights = store.local(self.weights[winner.learning_rate, winner.seed])
                text = handover.card(self.called, start, winner, self.table, facts)
                made_of = {"card": text, "tokenizer": tokenizer}
                self.file = str(handover.write(Path(self.folder), self.called, start, weights, winner, **made_of))
            facts |= {"run": current.run_id, "started": self.started, "finished": datetime.now(UTC)}
            facts |= {"name": self.called, "winner": winner and winner.name, "file": self.file}
            facts |= {"reasons": self.choice.reasons}
            key = tuning.report(store, self.prefix, facts | {"rows": self.table}, choosing.as_csv(self.table))
        print(f"report {key}")

    def known(self):
        """What every candidate starts from."""
        return {"shops": self.teachers, "model": self.start_model, "fingerprint": self.fingerprint}


if __name__ == "__main__":
    begin(FineTuneFlow)
