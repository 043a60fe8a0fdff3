"""What a refresh is made of, whichever flow strings it together: the plan, six stages for one shop each, the report.

Only keys, counts and scores travel between the steps; rows, pictures and vectors lie in the store.
"""

import json
import os
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

from base import StoreFlow
from metaflow import Config, FlowMutator, Parameter, card, current, step

from pluribus.errors import plainly


class Deployed(FlowMutator):
    """What `pluribus deploy` lays over the flow: machines, schedule, event. Nothing on a laptop."""

    def pre_mutate(self, flow):
        told = dict(flow.configs)["deployment"]
        if not told:  # on a laptop; importing deploy would cost every process 0.3 CPU-s
            return
        from pluribus import deploy

        for name, kwargs in deploy.flow_decorators(told):
            flow.add_decorator(name, deco_kwargs=kwargs)

    def mutate(self, flow):
        told = dict(flow.configs)["deployment"]
        if not told:
            return
        from pluribus import deploy

        for name, there in flow.steps:
            for decorator, kwargs in deploy.step_decorators(told, name):
                there.add_decorator(decorator, deco_kwargs=kwargs)


class Stages(StoreFlow):
    """The parameters of a refresh, its first and its last steps, and what the steps between them are made of.

    A foreach hands each task a batch: its shops, their jobs so far, the seconds that the model took to load.
    """

    deployment = Config("deployment", default_value={}, help="what `pluribus deploy` tells a cluster")
    shops = Parameter(
        "shops", default=os.environ.get("PLURIBUS_SHOPS", "all"), help="names separated by commas, or all, or due"
    )
    model = Parameter("model", default="", help="a model for all shops of this run, in place of their own")
    snapshot = Parameter("snapshot", default="", help="re-run one shop on a snapshot it took earlier")
    replay = Parameter("replay", default="", help="a wave of a backfill: its key in the store")
    anew = Parameter("anew", default=False, help="build and publish again, whatever is live and even if it is damaged")
    force = Parameter("force", default="", help="publish what the gate refuses, for this reason; it is recorded")
    forced_by = Parameter("forced-by", default="", help="who says so")

    def plan(self):
        """Check every name, register the models, pack the shops into batches."""
        from pluribus import contracts, jobs, plan, runs, settings, store
        from pluribus.cards import runs as cards
        from pluribus.errors import StoreError
        from pluribus.jobs import Job

        self.started = datetime.now(UTC)
        with plainly():
            config = settings.load(self.config, store=self.store_at)
            self.store_url, self.hour_price = config.store, config.run.hour_price
            problems = store.probe(self.open_store())
            if problems:
                raise StoreError(f"{config.store}: {'; '.join(problems)}", do="use a store with conditional writes")
            self.wave = json.loads(self.open_store().get(self.replay)) if self.replay else {}
            past = runs.reports(self.open_store(), since=runs.horizon(config.shops.values(), self.started))
            wanted = ",".join(self.wave["snapshots"]) if self.wave else self.shops
            chosen = plan.choose(config.shops, wanted, past=past, now=self.started)
            chosen = [replace(shop, model=config.model(self.model or shop.model).name) for shop in chosen]
            registered, self.lost = self.register(chosen, config.models)
            chosen = [shop for shop in chosen if shop.model in registered]
            expectations = store.open_store(config.expectations)
            wanting = {shop.vertical: shop.name for shop in chosen}
            suites = {name: contracts.suites(expectations, name, of=shop) for name, shop in wanting.items()}
            expected = plan.expected_products(chosen, past)
            room = {"batch_products": config.run.batch_products, "most": config.run.most_batches}
            packed = plan.batches(chosen, expected, **room, workers=config.run.workers)
        nothing = plan.Batch((), config.models[min(config.models)], "", {})  # Metaflow wants a batch at least
        of = {name: (config.models[name], fingerprint, suites) for name, fingerprint in registered.items()}
        batches = [plan.Batch(tuple(shops), *of[shops[0].model]) for shops in packed] or [nothing]
        self.batches = [
            (batch, [Job(shop=shop.name, model=shop.model) for shop in batch.shops], 0.0) for batch in batches
        ]
        for job in self.lost:
            print(f"{jobs.SAID}{job.shop}: {job.state}: {job.reason}")
        by = f"model {', '.join(registered)}, store {config.store}"
        print(f"{jobs.SAID}run {current.run_id}: {len(chosen)} shops in {len(packed)} tasks, {by}")
        current.card["plan"].extend(cards.plan(batches, expected))

    def register(self, chosen, configured):
        """The fingerprint of each model that serves; and the shops of those that do not, set aside.

        Raises ConfigError or ModelError where no model serves.
        """
        from pluribus import models
        from pluribus.errors import ConfigError, ModelError
        from pluribus.jobs import Job

        registered, unfit = {}, {}
        for name in sorted({shop.model for shop in chosen}):
            try:
                registered[name] = models.register(self.open_store(), configured[name])
            except (ConfigError, ModelError) as error:
                unfit[name] = error
        if unfit and not registered:
            raise next(iter(unfit.values()))
        lost = [shop for shop in chosen if shop.model in unfit]
        aside = {"state": "set aside"}
        return registered, [Job(shop=s.name, model=s.model, reason=f"start: {unfit[s.model]}", **aside) for s in lost]

    def take(self):
        """What this task's place in the foreach holds."""
        self.batch, self.jobs, self.load_s = self.input

    def ingest_shop(self, job, shop, store):
        """Read its feeds and pictures into an immutable snapshot; go no further where nothing changed."""
        from pluribus import ingest, plan, releases, versions

        read = {"feeds": shop.feeds, "images": shop.images, "limits": shop.limits, "now": datetime.now(UTC)}
        earlier = self.wave.get("snapshots", {}).get(shop.name) or self.snapshot
        if earlier and self.wave.get("stage") == "ingest":
            taken = ingest.again(store, earlier, feeds=shop.feeds, images=shop.images, limits=shop.limits)
        else:
            taken = ingest.recall(store, earlier) if earlier else ingest.ingest(store, **read)
        made_of = (shop.name, taken.id, self.batch.fingerprint, shop.fusion, shop.index)
        key = plan.input_key(*made_of, self.batch.suites[shop.vertical], versions.RELEASE)
        live = None if self.anew else releases.current(store, shop=shop.name)
        counts = {"rows": taken.rows, "pictures": taken.pictures, "fetched": taken.fetched}
        state = "unchanged" if live and live.input_key == key else "running"
        changes = {"snapshot": taken.id, "asof": taken.asof, "input_key": key, "state": state}
        return job.after("ingest", taken.size_bytes, counts, **changes)

    def validate_shop(self, job, shop, store):
        """Judge its rows: accepted ones go on, the others are quarantined with every reason."""
        from pluribus import ingest, validate

        live = self.live(store, shop)
        found = validate.validate(
            store,
            snapshot=job.snapshot,
            rows_key=ingest.rows_key(job.snapshot),
            suites=self.batch.suites[shop.vertical],
            limits=shop.limits,
            live_products=live.manifest.facts["products"] if live else 0,
        )
        counts = {"accepted": found.accepted, "quarantined": found.quarantined}
        return job.after("validate", found.size_bytes, counts, validation=found.key)

    def embed_together(self):
        """Encode new pictures and texts of all shops together, once and for all; hand each shop its own."""
        if not self.running():
            return
        from pluribus import embed
        from pluribus.evaluate import concepts

        asked = {"model": self.batch.model, "fingerprint": self.batch.fingerprint}
        encoder = cache(self.load_model)
        pool = embed.Pool(encoder)

        def look(job, shop, store):
            pool.add(job.shop, embed.look(store, products_key=job.validation + "products.parquet", **asked))
            return job

        def one(job, shop, store):
            done = pool.of(job.shop)
            counts = {"embedded": done.pictures + done.texts, "reused": done.reused, "shared": done.shared}
            return job.after("embed", done.size_bytes, counts).spent("embed", done.seconds)

        def together():
            pool.encode()
            concepts.of_model(self.open_store(), self.batch.fingerprint, encoder)  # once for all shops

        self.advance("embed", one, look=look, together=together)
        self.load_s = pool.load_s

    def build_shop(self, job, shop, store):
        """Fuse its vectors, build and measure its index: the files of a release, not yet public."""
        from pluribus import build

        release = uuid.uuid4().hex
        made = build.build(
            store,
            release=release,
            products_key=job.validation + "products.parquet",
            model=self.batch.model,
            fingerprint=self.batch.fingerprint,
            fusion=shop.fusion,
            index=shop.index,
        )
        size_bytes = sum(file.size_bytes for file in made.files.values())
        scores = {f"recall@10 {name}": value for name, value in made.recall.items()}
        counts = {"with picture": made.with_picture, "with text": made.with_text}
        return job.after("build", size_bytes, counts, release=release, files=made.files, scores=scores)

    def evaluate_shop(self, job, shop, store):
        """Measure its release against chance, thresholds and the live release: a verdict."""
        from pluribus import evaluate, releases
        from pluribus.evaluate import concepts

        releases.unsealed(store, shop=shop.name, release=job.release, files=job.files).verify()
        asked = {"model": self.batch.model, "fingerprint": self.batch.fingerprint, "gate": shop.gate}
        asked["concepts"] = concepts.of_model(self.open_store(), self.batch.fingerprint)
        found, file = evaluate.evaluate(store, release=job.release, live=self.live(store, shop), **asked)
        scores = job.scores | {name: score.value for name, score in found.headline.items()}
        files = job.files | {"evaluation.json": file}
        verdict = found.verdict
        state = {"pass": "running", "fail": "failed gate", "hold": "held"}[verdict.outcome]
        changes = {"scores": scores, "files": files, "state": "running" if self.force else state}
        return job.after("evaluate", file.size_bytes, {}, reason=verdict.says, **changes)

    def publish_shop(self, job, shop, store):
        """Switch it to its new release, in one atomic step."""
        from pluribus import publish, releases

        facts = {
            "model": self.batch.model.name,
            "fingerprint": self.batch.fingerprint,
            "width": self.batch.model.width,
            "products": job.counts["accepted"],
            "snapshot": job.snapshot,
            "validation": job.validation,
            "scores": job.scores,
            "run": current.run_id,
        }
        why = f"run {current.run_id}"
        if job.reason:  # the gate's: only --force comes here with one
            facts["forced"] = {"who": self.forced_by, "why": self.force, "over": job.reason}
            why += f", forced by {self.forced_by}: {self.force}"
        made_of = {"asof": job.asof, "input_key": job.input_key}
        publish.seal(store, shop=shop.name, release=job.release, files=job.files, facts=facts, **made_of)
        if self.wave.get("beside"):
            return job.after("publish", 0, {}, state="beside")
        state = publish.publish(store, shop=shop.name, release=job.release, why=why, anew=self.anew)
        if state != "already":
            return job.after("publish", 0, {}, state=state)
        live = releases.open_release(store, shop=shop.name).manifest
        ours = live.facts.get("run") == current.run_id  # an attempt of this step got so far, and was stopped then
        return job.after("publish", 0, {}, state="published" if ours else "unchanged", release=live.release)

    @step
    def join(self, inputs):
        """Gather the shops of all batches."""
        self.merge_artifacts(inputs, include=["store_url", "started", "lost"])
        found = [*self.lost, *(job for batch in inputs for job in batch.jobs)]
        self.jobs = sorted(found, key=lambda job: job.shop)
        self.loads = [batch.load_s for batch in inputs if batch.load_s]
        self.next(self.end)

    @card(type="blank", id="report")
    @step
    def end(self):
        """One table of all shops, on the card and in the store."""
        from pluribus import alerts, jobs, runs, settings
        from pluribus.cards import runs as cards

        finished = datetime.now(UTC)
        with plainly():
            report = {"run": current.run_id, "started": self.started, "finished": finished, "jobs": self.jobs}
            report |= {"loads": self.loads, "replay": bool(self.replay or self.snapshot)}
            self.report = runs.write_report(self.open_store(), **report)
        current.card["report"].extend(cards.report(self.jobs, self.started, finished))
        print(runs.tag(current, self.jobs))
        said = alerts.after(self.open_store(), self.report, lambda: settings.operations(self.config))
        print(f"{jobs.SAID if said.startswith(alerts.FAILED) else ''}{said}")
        print(f"report {self.report}")
        if self.jobs and all(job.state in ("set aside", "failed gate") for job in self.jobs):
            raise SystemExit("error: no shop got through; each one's reason stands above and in the report")

    def running(self):
        """Whether any shop of this batch is still under way."""
        return any(job.state == "running" for job in self.jobs)

    def advance(self, stage, one, look=None, together=None):
        """Take every running job of this batch through one stage, each inside its own shop's part of the store.

        What came of it is drawn on the stage's card; where no job is left, nothing is imported and nothing drawn.
        """
        if not self.running():
            return
        from pluribus import jobs
        from pluribus.cards import stages

        with plainly():
            store = self.open_store()

            def inside(do):
                def work(job):
                    shop = self.batch.shop(job.shop)
                    jobs.afford(job, shop.limits, self.hour_price)
                    return do(job, shop, store.within(f"shops/{job.shop}"))

                return work

            more = {"look": look and inside(look), "together": together, "run": current.run_id}
            more["as_json"] = os.environ.get("PLURIBUS_LOG") == "json"
            self.jobs = jobs.advance(self.jobs, stage, inside(one), **more)
            if stage == "validate":
                from pluribus.cards import pages

                pages.keep(store, self.jobs)
        current.card[stage].extend(stages.card(stage, store, self.jobs))

    def live(self, store, shop):
        """The shop's live release to compare with; none where there is none, or a damaged one is to be built anew."""
        from pluribus import releases
        from pluribus.errors import ReleaseError

        try:
            if releases.current(store, shop=shop.name) is None:
                return None
            live = releases.open_release(store, shop=shop.name)
            if self.anew:
                live.verify()
            return live
        except ReleaseError:
            if self.anew:
                return None
            raise

    def load_model(self):
        """The shared encoder of this batch."""
        from pluribus import models

        return models.load(self.open_store(), self.batch.fingerprint, fast=True)
