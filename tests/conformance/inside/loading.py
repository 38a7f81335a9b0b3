"""What transformers loads from HF_ENDPOINT: the five-line example, shards, a pickle, a pipeline, a missing repo.

usage: loading.py REPOS FOLDER   where REPOS is a JSON object of names and FOLDER holds the example's model
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
import transformers  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
from transformers import (  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    pipeline,
)

SENTENCE = "今天天气真不错"
THREADS_S = 60.0

repos: dict[str, str] = json.loads(sys.argv[1])
folder = sys.argv[2]


def logits(name: str) -> Any:
    """What a model makes of the sentence."""
    inputs = AutoTokenizer.from_pretrained(name)(SENTENCE, return_tensors="pt")
    with torch.no_grad():
        return AutoModelForSequenceClassification.from_pretrained(name)(**inputs).logits


def same(name: str) -> bool:
    """Whether it makes of it what the folder's model makes."""
    return bool(torch.allclose(logits(name), expected, atol=1e-6))


def failure(name: str) -> str:
    """How loading ends."""
    try:
        AutoTokenizer.from_pretrained(name)
    except Exception as error:  # noqa: BLE001  # which one it is, is the answer
        return type(error).__name__
    return ""


expected = logits(folder)
inputs = AutoTokenizer.from_pretrained(repos["chinese"])(SENTENCE, return_tensors="pt")
classify = pipeline("text-classification", model=repos["chinese"])
answer = {
    "version": transformers.__version__,
    "torch": torch.__version__,
    "kind": AutoConfig.from_pretrained(repos["chinese"]).model_type,
    "ids": inputs["input_ids"].tolist(),
    "mask": inputs["attention_mask"].tolist(),
    "labels": sorted(AutoConfig.from_pretrained(repos["chinese"]).id2label.values()),
    "pipeline": classify(SENTENCE)[0]["label"],
    "label": AutoConfig.from_pretrained(folder).id2label[expected.argmax().item()],
    "chinese": same(repos["chinese"]),
    "sharded": same(repos["sharded"]),
    "pickled": same(repos["pickled"]),
    "missing": failure(repos["missing"]),
}
for thread in threading.enumerate():  # one may still be asking whether somebody has converted the pickle
    if thread is not threading.current_thread() and not thread.daemon:
        thread.join(THREADS_S)
print(json.dumps(answer, ensure_ascii=False))
