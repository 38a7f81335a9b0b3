"""A checkpoint with all that tensors can be, and whether its safetensors are the same to the last bit.

usage: odd.py make FILE | odd.py check CHECKPOINT SAFETENSORS
"""

import json
import sys
from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
from safetensors import safe_open  # type: ignore[import-not-found,unused-ignore]  # as above


def make(path: str) -> None:
    """Write the checkpoint."""
    words, whole = torch.randn(50, 8), torch.randn(10, 10)
    torch.save(
        {
            "lm_head.weight": words,
            "transformer.wte.weight": words,
            "first.half": whole[:5],
            "second.half": whole[5:],
            "turned": torch.randn(4, 6).t(),
            "nothing": torch.zeros(0, 3),
            "one": torch.tensor(float("nan")),
            "signs": torch.tensor([0.0, -0.0, float("inf"), float("nan")]),
            "half": torch.randn(3, 3).half(),
            "brain": torch.randn(3).bfloat16(),
            "eight": torch.randn(4).to(torch.float8_e4m3fn),
            "double": torch.randn(2, dtype=torch.float64),
            "whole": torch.arange(5),
            "yes.no": torch.tensor([True, False]),
            "parameter": torch.nn.Parameter(torch.randn(2)),
        },
        path,
    )


def bits(tensor: Any) -> bytes:
    """A tensor as bytes."""
    return bytes(tensor.detach().contiguous().reshape(-1).view(torch.uint8).tolist())


def check(old: str, new: str) -> None:
    """Compare."""
    tensors = torch.load(old, weights_only=True)
    with safe_open(new, framework="pt") as written:
        tied = written.metadata()
        for name, tensor in tensors.items():
            again = written.get_tensor(tied.get(name, name))
            same = again.dtype == tensor.dtype and again.shape == tensor.shape and bits(again) == bits(tensor)
            assert same, name
        names = sorted(written.keys())
    print(json.dumps({"compared": len(tensors), "written": len(names), "metadata": tied}))


if sys.argv[1] == "make":
    make(sys.argv[2])
    print("{}")
else:
    check(*sys.argv[2:])
