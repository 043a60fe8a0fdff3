"""Any text-to-image pipeline of diffusers as a generator: an extra, and weights that lie in a folder here.

`pip install 'pluribus[generate]'`; nothing is ever downloaded. On a GPU it computes in half precision.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from pluribus.errors import ConfigError, ModelError
from pluribus.generate.grid import Generator, Wish

STEPS = 30
INDEX = "model_index.json"


def load(weights: str, device: str = "cpu", steps: int = STEPS) -> Generator:
    """The pipeline in the folder `weights`. Raises ConfigError where it, or diffusers, is not there."""
    folder = Path(weights)
    if not weights or not (folder / INDEX).is_file():
        raise ConfigError(f"no pipeline at {weights or '(no folder named)'}", do="pass --weights",
                          expected=f"a folder with {INDEX}, as diffusers' save_pretrained writes it")  # fmt: skip
    try:
        import torch
        from diffusers import AutoPipelineForText2Image
    except ImportError as error:
        raise ConfigError(
            f"diffusers cannot be imported: {error}", do="run: pip install 'pluribus[generate]'"
        ) from None
    kind = torch.float16 if device.startswith("cuda") else torch.float32
    try:
        pipeline = AutoPipelineForText2Image.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, torch_dtype=kind
        ).to(device)
    except (OSError, ValueError, RuntimeError, AttributeError) as error:
        raise ModelError(f"the pipeline at {folder} cannot be loaded: {error}",
                         expected="a text-to-image pipeline with safetensors") from None  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    files = {str(file.relative_to(folder)): _sha256(file) for file in sorted(folder.rglob("*")) if file.is_file()}
    digest = hashlib.sha256(repr([files, steps, str(kind)]).encode()).hexdigest()[:16]

    def draw(batch: Sequence[Wish]) -> list[Image.Image]:
        seeds = [torch.Generator(device).manual_seed(wish.seed) for wish in batch]
        made: Any = pipeline([wish.prompt for wish in batch], num_inference_steps=steps, generator=seeds)
        return [picture.convert("RGB") for picture in made.images]

    return Generator("diffusion", digest, draw, frozenset(files.values()))


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
