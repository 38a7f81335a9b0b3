"""What diffusers loads from HF_ENDPOINT: a tiny Stable Diffusion, downloaded, loaded and run for one step.

usage: pipelines.py REPO FOLDER   where FOLDER holds the same pipeline
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import diffusers  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
import numpy  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
import torch  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
from diffusers import DiffusionPipeline, UNet2DConditionModel

repo, folder = sys.argv[1:]


def drawn(pipeline: Any) -> Any:
    """One step's picture."""
    pipeline.set_progress_bar_config(disable=True)
    chance = torch.Generator().manual_seed(1)
    return pipeline("a cat", num_inference_steps=1, generator=chance, output_type="np").images


place = Path(DiffusionPipeline.download(repo))
loaded = DiffusionPipeline.from_pretrained(repo)
picture, expected = drawn(loaded), drawn(DiffusionPipeline.from_pretrained(folder))
part = UNet2DConditionModel.from_pretrained(repo, subfolder="unet")
answer = {
    "version": diffusers.__version__,
    "files": sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()),
    "parts": sorted(name for name, part in loaded.components.items() if part is not None),
    "shape": list(picture.shape),
    "equal": bool(numpy.allclose(picture, expected, atol=1e-5)),
    "part": sum(numbers.numel() for numbers in part.parameters()),
    "same part": sum(numbers.numel() for numbers in loaded.unet.parameters()),
}
print(json.dumps(answer))
