"""Load a sentence-transformers repo twice, as people do, and compare sentences.

usage: sentences.py REPO
"""

import json
import sys

import sentence_transformers  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
import torch  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
from sentence_transformers import (  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
    SentenceTransformer,
)
from transformers import (  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
    AutoModel,
    AutoTokenizer,
)

(repo,) = sys.argv[1:]


def pooled(sentences: list[str]) -> torch.Tensor:
    """The mean over tokens, as the repo's own pooling says, by transformers alone."""
    tokenizer, model = AutoTokenizer.from_pretrained(repo), AutoModel.from_pretrained(repo)
    inputs = tokenizer(sentences, padding=True, return_tensors="pt")
    mask = inputs["attention_mask"].unsqueeze(-1)
    with torch.no_grad():
        hidden = model(**inputs).last_hidden_state
    return (hidden * mask).sum(1) / mask.sum(1)


def cosine(first: torch.Tensor, second: torch.Tensor) -> float:
    """How alike two vectors are."""
    return float(torch.nn.functional.cosine_similarity(first, second, dim=0))


CAT, KITTEN, OTHER = "a cat sits on the mat", "a kitten rests on a rug", "quarterly revenue fell"

vectors = torch.as_tensor(SentenceTransformer(repo).encode([CAT, KITTEN, OTHER]))
plain = pooled([CAT, KITTEN])
answer = {
    "version": sentence_transformers.__version__,
    "width": vectors.shape[1],
    "cat_kitten": cosine(vectors[0], vectors[1]),
    "cat_other": cosine(vectors[0], vectors[2]),
    "cat_kitten_plain": cosine(plain[0], plain[1]),
}
print(json.dumps(answer))
