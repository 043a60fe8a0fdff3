"""Handover: a chosen training becomes a model file, its weights and its card, as `config/models/` holds them."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pluribus.errors import ConfigError, printable
from pluribus.models import towers_torch
from pluribus.records import Model
from pluribus.train import choosing, mix
from pluribus.train.choosing import Candidate

#: Of a Model, what the file's own name or place says.
UNWRITTEN = ("name", "weights", "sha256", "layout", "revision")


def check_name(folder: str, name: str, start: Model) -> None:
    """Raises ConfigError for a name that cannot be a file's, or that another model has."""
    if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise ConfigError(f"model name {name!r}", expected="letters, digits, '-' and '_'")
    if "://" in folder:
        raise ConfigError(f"a model cannot be written to {folder}", expected="a folder", do="pass --out")
    if name == start.name or (Path(folder) / f"{name}.toml").exists():
        raise ConfigError(f"there is a model {name!r} in {folder} already", do="pass another --name")


def write(
    folder: Path, name: str, start: Model, weights: Path, winner: Candidate, *, card: str, tokenizer: Path | None = None
) -> Path:
    """Write `<name>.safetensors`, `<name>.md` and last `<name>.toml`; returns the latter.

    `start` names the start weights by a local path, `weights` are the trained ones, not mixed yet. Raises ConfigError
    where another model took the name meanwhile.
    """
    encoder = towers_torch.read(replace(start, weights=str(weights), layout="open_clip"), tokenizer=tokenizer)
    if winner.share != 1:
        mix(encoder, towers_torch.read(start, tokenizer=tokenizer).network.state_dict(), winner.share)
    file = folder / name / "open_clip_model.safetensors" if tokenizer else folder / f"{name}.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"part-{file.name}")
    digest = towers_torch.save(encoder, part, recipe=f"fine-tuned from {start.name}: {winner.name}")
    text = model_file(
        replace(start, weights=str(file.relative_to(folder)), sha256=digest),
        f"Fine-tuned; {name}.md says how and on what.",
    )
    path = folder / f"{name}.toml"
    if path.exists() and path.read_text() != text:  # else this is what a run that died here had written
        part.unlink()
        raise ConfigError(f"another model {name!r} came into {folder} meanwhile", do="rename that, and resume this run")
    part.replace(file)
    if tokenizer:
        shutil.copyfile(tokenizer, file.with_name("tokenizer.json"))  # each model's own lies beside its weights
    (folder / f"{name}.md").write_text(card)
    path.write_text(text)
    return path


CARD = """# {name}

`{start}` ({licence}), fine-tuned by `pluribus finetune` with learning rate {rate:g}, seed {seed}, {steps} steps of
{batch}; {share:.0%} of the way from the start weights to the trained ones.

{facts}

{table}

LR `start` is the model it began with. hits@5 and mrr: a title asks for its picture among its own shop's of the same
split. F1: weighted, zero-shot. Minutes are those of the training by the clock; USD and kgCO2eq are what a GPU at the
configured prices would have cost for as long, also where a processor did the work.

Products of these shops taught it: whether its weights may be given to others is theirs to say.
"""


def card(
    name: str, start: Model, winner: Candidate, table: Sequence[Mapping[str, str]], facts: Mapping[str, Any]
) -> str:  # fmt: skip
    """The model card, in Markdown: where the model comes from, what chose it, every candidate's figures."""
    said = {what: json.dumps(value) if isinstance(value, dict) else str(value) for what, value in facts.items()}
    return CARD.format(
        name=name, start=start.name, licence=start.licence, rate=winner.learning_rate, seed=winner.seed,
        steps=winner.steps, batch=winner.batch_size, share=winner.share, table=choosing.markdown(table),
        facts="\n".join(f"- {what}: {printable(value)}" for what, value in said.items() if value),
    )  # fmt: skip


def model_file(model: Model, comment: str) -> str:
    """A Model as `settings` reads it: what is not said there has its default."""
    plain = asdict(model)
    default = asdict(Model(name="", weights="", sha256="", width=1, licence="", architecture=""))
    said = {name: value for name, value in plain.items() if name not in UNWRITTEN and value != default[name]}
    lines = [f"# {printable(comment)}", f"weights = {_toml(model.weights)}", f"sha256 = {_toml(model.sha256)}"]
    lines += [f"{name} = {_toml(value)}" for name, value in said.items() if not isinstance(value, dict)]
    for name, value in said.items():
        if isinstance(value, dict):
            lines += _tables(name, value)
    return "\n".join(lines) + "\n"


def _tables(name: str, values: dict[str, Any]) -> list[str]:
    lines = ["", f"[{name}]"]
    lines += [f"{key} = {_toml(value)}" for key, value in values.items()
              if value is not None and not isinstance(value, dict)]  # fmt: skip
    for key, value in values.items():
        lines += _tables(f"{name}.{key}", value) if isinstance(value, dict) else []
    return lines


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)  # TOML's basic values are JSON's
