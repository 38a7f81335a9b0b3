"""A converted revision, loaded offline by its name, beside what a plain folder gives.

usage: converted.py REPO REVISION FOLDER
"""

import json
import sys

import torch  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
from transformers import (  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

repo, revision, folder = sys.argv[1:]

tokenizer = AutoTokenizer.from_pretrained(repo, revision=revision)
model = AutoModelForSequenceClassification.from_pretrained(repo, revision=revision, use_safetensors=True)
inputs = tokenizer("今天天气真不错", return_tensors="pt")
plain = AutoModelForSequenceClassification.from_pretrained(folder)
expected = plain(**inputs).logits
same = {name: torch.equal(tensor, plain.state_dict()[name]) for name, tensor in model.state_dict().items()}
answer = {"equal": bool(torch.allclose(model(**inputs).logits, expected, atol=1e-6)), "same": all(same.values())}
print(json.dumps({**answer, "tensors": len(same)}))
