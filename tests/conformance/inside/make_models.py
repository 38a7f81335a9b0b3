"""Small models in the forms that people publish: sharded, pickled, a pipeline of several, for a browser.

Weights are random, but the same every time on one machine. Needs torch, transformers and diffusers.

usage: make_models.py SENTIMENT FOLDER   where SENTIMENT holds the small Chinese model
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import torch  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
from diffusers import (  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import (  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
    AutoModelForSequenceClassification,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
)

SEED = 20
SHARD = "3MB"  # so that 12.7 MB make several
WIDTH = 8  # of the browser's embeddings
WORDS = 21128


def sharded(sentiment: Path, folder: Path) -> None:
    """The same weights in several files with an index."""
    _tokenizer_files(sentiment, folder)
    AutoModelForSequenceClassification.from_pretrained(sentiment).save_pretrained(folder, max_shard_size=SHARD)


def pickled(sentiment: Path, folder: Path) -> None:
    """Only `pytorch_model.bin`, as before 2023."""
    _tokenizer_files(sentiment, folder)
    shutil.copyfile(sentiment / "config.json", folder / "config.json")
    model = AutoModelForSequenceClassification.from_pretrained(sentiment)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")


def diffusion(folder: Path) -> None:
    """A Stable Diffusion of a few thousand numbers."""
    torch.manual_seed(SEED)
    words = folder / "words"
    words.mkdir(parents=True)
    letters = ["!", *"abcdefghijklmnopqrstuvwxyz"]
    known = [*letters, *(f"{one}</w>" for one in letters), "ca", "cat</w>", "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: place for place, word in enumerate(known)}
    (words / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (words / "merges.txt").write_text("#version: 0.2\nc a\nca t</w>\n", encoding="utf-8")
    tokenizer = CLIPTokenizer.from_pretrained(words, model_max_length=77)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        projection_dim=16,
        bos_token_id=vocabulary["<|startoftext|>"],
        eos_token_id=vocabulary["<|endoftext|>"],
    )
    blocks = {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4}
    down, up = ("DownBlock2D", "CrossAttnDownBlock2D"), ("CrossAttnUpBlock2D", "UpBlock2D")
    unet = UNet2DConditionModel(
        sample_size=8, cross_attention_dim=16, attention_head_dim=2, down_block_types=down, up_block_types=up, **blocks
    )
    vae = AutoencoderKL(
        latent_channels=4,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        sample_size=16,
        **blocks,
    )
    parts = {"unet": unet, "vae": vae, "text_encoder": CLIPTextModel(text), "tokenizer": tokenizer}
    absent = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    StableDiffusionPipeline(scheduler=DDIMScheduler(clip_sample=False), **parts, **absent).save_pretrained(folder)
    shutil.rmtree(words)


def browser(sentiment: Path, folder: Path) -> None:
    """What a browser loads: tokenizer.json, config.json and onnx/model.onnx."""
    _tokenizer_files(sentiment, folder)
    config = json.loads((sentiment / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["BertModel"]}), encoding="utf-8")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(_embedding())


def _tokenizer_files(sentiment: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (sentiment / name).exists():
            shutil.copyfile(sentiment / name, folder / name)


def _embedding() -> bytes:
    """A network of one operation in ONNX's own format: words in, a row of a table for each word out."""
    table = torch.arange(WORDS * WIDTH, dtype=torch.float32).remainder(1000).div(1000)
    gather = _text(1, "table") + _text(1, "input_ids") + _text(2, "last_hidden_state") + _text(4, "Gather")
    weights = (
        _number(1, WORDS) + _number(1, WIDTH) + _number(2, 1) + _text(8, "table") + _block(9, bytes(table.numpy()))
    )
    inputs = b"".join(_block(11, _tensor(name, 7, "batch", "length")) for name in ("input_ids", "attention_mask"))
    inputs += _block(11, _tensor("token_type_ids", 7, "batch", "length"))
    output = _block(12, _tensor("last_hidden_state", 1, "batch", "length", WIDTH))
    graph = _block(1, gather) + _text(2, "embedding") + _block(5, weights) + inputs + output
    return _number(1, 8) + _block(7, graph) + _block(8, _text(1, "") + _number(2, 13))


def _tensor(name: str, kind: int, *sides: str | int) -> bytes:
    shape = b"".join(_block(1, _number(1, side) if isinstance(side, int) else _text(2, side)) for side in sides)
    return _text(1, name) + _block(2, _block(1, _number(1, kind) + _block(2, shape)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _block(field, value.encode())


def _block(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """Seven bits a byte, the least first; the top bit says that more follow."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    sharded(source, target / "sharded")
    pickled(source, target / "pickled")
    diffusion(target / "diffusion")
    browser(source, target / "browser")
    print(json.dumps({"made": sorted(path.name for path in target.iterdir())}))
