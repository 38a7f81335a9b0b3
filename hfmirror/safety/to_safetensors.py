"""Checkpoints into safetensors, in a process of its own that has torch. Travels alone: imports nothing of hfmirror.

Reads a JSON object on stdin, `{"work": [{"source": ..., "target": ...}, ...]}`, and prints one JSON
object a line: what it runs with, then for each file what was made of it, or why not. Nothing of a
checkpoint is run: torch loads with `weights_only`, which knows tensors and refuses the rest.
"""

from __future__ import annotations

import json
import re
import sys
from importlib import import_module
from typing import Any

LEAST_TORCH = (2, 6)  # before it, weights_only could be tricked into running code (CVE-2025-32434)
FIRST = re.compile(r"shared|embed|wte|tok", re.IGNORECASE)  # of tied tensors, the one that every head has


class NotWeights(Exception):
    """A checkpoint holds, or wants, something that is no tensor."""


def main() -> int:
    """Convert everything that is asked for; 0 when all was said, whatever it was."""
    work = json.load(sys.stdin)["work"]
    sys.path[:] = sys.path[1:]  # the folder of this file: its neighbours are nobody's modules
    try:
        import_module("numpy")  # safetensors needs it, and says so late
        import safetensors.torch  # noqa: PLC0415 - may be missing
        import torch  # noqa: PLC0415 - as above
    except ImportError as error:
        return say({"missing": str(error.name or error)})
    version = tuple(int(number) for number in re.findall(r"\d+", torch.__version__)[:2])
    if version < LEAST_TORCH:
        return say({"old": torch.__version__})
    say({"torch": torch.__version__, "safetensors": safetensors.__version__})
    for each in work:
        try:
            say(convert(torch, each["source"], each["target"]))
        except NotWeights as error:
            say({"refused": str(error)})
        except Exception as error:  # noqa: BLE001 - whoever started this hears of it
            say({"refused": f"cannot be converted: {type(error).__name__}: {first_line(error)}"})
    return 0


def say(document: dict[str, Any]) -> int:
    """One line to whoever started this."""
    print(json.dumps(document), flush=True)  # noqa: T201 - the answer
    return 0


def convert(torch: Any, source: str, target: str) -> dict[str, Any]:
    """Load, write, read again, compare. Raises NotWeights, and what torch and safetensors raise."""
    from safetensors.torch import save_file  # noqa: PLC0415 - as above

    tensors = tensors_of(torch, load(torch, source))
    kept, aliases = told_apart(tensors)
    save_file(kept, target, metadata={"format": "pt", **aliases})
    settle(target)
    compare(torch, tensors, aliases, target)
    return {"tensors": {name: tensor.numel() * tensor.element_size() for name, tensor in kept.items()}, "tied": aliases}


def load(torch: Any, source: str) -> Any:
    """What a checkpoint holds. Raises NotWeights with the name that it wanted."""
    try:
        try:
            return torch.load(source, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:  # files of before torch 1.6 cannot be mapped
            if "mmap" not in str(error):
                raise
            return torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - each way of being no checkpoint has its own
        wanted = re.search(r"GLOBAL (\S+) was not an allowed global", str(error))
        if wanted is None:
            wanted = re.search(
                r"(?:Unsupported (?:global|class|operand)|Trying to \w+ unsupported GLOBAL) (\S+)", str(error)
            )
        if wanted is not None:
            raise NotWeights(f"needs more than weights: it wants {wanted.group(1).rstrip('.')}") from None
        raise NotWeights(f"is no checkpoint that holds only weights: {first_line(error)}") from None


def first_line(error: BaseException) -> str:
    """What an error says, without its essay."""
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__


def tensors_of(torch: Any, loaded: Any) -> dict[str, Any]:
    """The tensors by name. Raises NotWeights when there is anything else, which safetensors could not hold."""
    if isinstance(loaded, dict) and list(loaded) == ["state_dict"]:
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict):
        raise NotWeights(f"holds no tensors by name, but a {type(loaded).__name__}")
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise NotWeights(f"holds more than tensors by name: {str(name)[:100]} is a {type(value).__name__}")
        if value.layout != torch.strided or value.is_quantized:
            raise NotWeights(f"holds a tensor that safetensors cannot: {name[:100]} is sparse or quantized")
    return {name: value.detach() for name, value in loaded.items()}


def told_apart(tensors: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What is written: tied tensors once, with the other names to the name kept; parts of one memory as copies."""
    same: dict[Any, list[str]] = {}
    users: dict[int, set[Any]] = {}
    for name, tensor in tensors.items():
        memory = tensor.untyped_storage().data_ptr()
        view = (memory, tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), str(tensor.dtype))
        key: Any = view if tensor.numel() else name
        same.setdefault(key, []).append(name)
        users.setdefault(memory, set()).add(key)
    kept: dict[str, Any] = {}
    aliases: dict[str, str] = {}
    for names in same.values():
        first = min(names, key=lambda name: (FIRST.search(name) is None, "shared" not in name, name))
        tensor = tensors[first]
        shares = len(users[tensor.untyped_storage().data_ptr()]) > 1
        kept[first] = tensor.clone().contiguous() if shares else tensor.contiguous()
        aliases.update({name: first for name in names if name != first})
    return kept, aliases


def settle(target: str) -> None:
    """Put the header into one order: the same tensors shall be the same file, and safetensors shuffles the metadata."""
    with open(target, "r+b") as file:  # noqa: PTH123 - travels alone
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        rows = {"__metadata__": dict(sorted(header.pop("__metadata__").items())), **header}
        text = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) <= size:  # it may be padded with spaces
            file.seek(8)
            file.write(text.ljust(size))


def compare(torch: Any, tensors: dict[str, Any], aliases: dict[str, str], target: str) -> None:
    """See that what was written is what was loaded, bit by bit. Raises NotWeights."""
    from safetensors import safe_open  # noqa: PLC0415 - as above

    with safe_open(target, framework="pt") as written:
        if set(written.keys()) != tensors.keys() - aliases.keys():
            raise NotWeights("came out with other names than it went in")
        for name, tensor in tensors.items():
            again = written.get_tensor(aliases.get(name, name))
            if again.dtype != tensor.dtype or again.shape != tensor.shape or not same_bits(torch, again, tensor):
                raise NotWeights(f"came out different: {name[:100]}")


def same_bits(torch: Any, first: Any, second: Any) -> bool:
    """Whether two tensors are the same to the last bit, NaNs too."""
    bits = [each.contiguous().reshape(-1).view(torch.uint8) for each in (first, second)]
    return bool(torch.equal(*bits))


if __name__ == "__main__":
    sys.exit(main())
