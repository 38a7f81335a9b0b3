"""Old checkpoints of a model, as people find them: one file, and in parts with an index.

usage: shards.py FOLDER OUT
"""

import json
import shutil
import sys
from pathlib import Path

import torch  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
from transformers import AutoModelForSequenceClassification  # type: ignore[import-not-found,unused-ignore]  # as above

folder, out = map(Path, sys.argv[1:])

tensors = AutoModelForSequenceClassification.from_pretrained(folder).state_dict()
names = list(tensors)
weight_map: dict[str, str] = {}
for style in ("one", "parts"):
    shutil.copytree(folder, out / style, ignore=shutil.ignore_patterns("*.safetensors"))
tied = {**tensors, "tied.to.the.words": tensors["bert.embeddings.word_embeddings.weight"]}
torch.save(tied, out / "one" / "pytorch_model.bin")
for number, part in enumerate((names[::2], names[1::2]), 1):
    file = f"pytorch_model-{number:05}-of-00002.bin"
    torch.save({name: tensors[name] for name in part}, out / "parts" / file, _use_new_zipfile_serialization=number == 1)
    weight_map |= dict.fromkeys(part, file)
index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
(out / "parts" / "pytorch_model.bin.index.json").write_text(json.dumps(index), encoding="utf-8")
torch.save(torch.nn.Linear(2, 2), out / "module.pt")
print(json.dumps({"tensors": len(names)}))
