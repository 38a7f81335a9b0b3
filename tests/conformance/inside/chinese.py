"""The five-line example, word for word; then what it gave, beside what a plain folder gives.

usage: chinese.py REPO FOLDER
"""

import json
import sys

import torch  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
from transformers import (  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

repo, folder = sys.argv[1:]

tokenizer = AutoTokenizer.from_pretrained(repo)
model = AutoModelForSequenceClassification.from_pretrained(repo)
inputs = tokenizer("今天天气真不错", return_tensors="pt")
outputs = model(**inputs)
label = model.config.id2label[outputs.logits.argmax().item()]

plain = AutoModelForSequenceClassification.from_pretrained(folder)
expected = plain(**AutoTokenizer.from_pretrained(folder)("今天天气真不错", return_tensors="pt"))

answer = {
    "ids": inputs["input_ids"].tolist(),
    "types": inputs["token_type_ids"].tolist(),
    "mask": inputs["attention_mask"].tolist(),
    "label": label,
    "labels": sorted(model.config.id2label.values()),
    "finite": bool(torch.isfinite(outputs.logits).all()),
    "shape": list(outputs.logits.shape),
    "equal": bool(torch.allclose(outputs.logits, expected.logits, atol=1e-6)),
}
print(json.dumps(answer, ensure_ascii=False))
