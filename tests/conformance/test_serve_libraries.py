"""transformers, sentence-transformers, datasets and diffusers, with a mirror as their Hub."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.conformance import shelf as on
from tests.conformance.clients import DATASETS, RECIPES, TRANSFORMERS
from tests.conformance.inside.make_tables import rows
from tests.material import SENTENCE_IDS, STARS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.conformance.clients import Client
    from tests.conformance.scenes import Scene
    from tests.conformance.shelf import Made

    Build = Callable[[str], Client]
    Tell = Callable[[str, object], None]

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(1200)]

FIRST = 5  # rows of a stream


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers_is_at_home(name: str, scene: Scene, made: Made, client: Build, record_property: Tell) -> None:
    record_property("client", RECIPES[name].client)
    repos = {"chinese": on.CHINESE, "sharded": on.SHARDED, "pickled": on.PICKLED, "missing": on.MISSING}
    asked = []
    for more in ({}, {"HF_HUB_OFFLINE": "1"}):
        before = len(scene.exchanges)
        said = scene.python(client(name), "loading.py", json.dumps(repos), str(made.chinese), more=more)
        assert f"transformers {said['version']}" == RECIPES[name].client
        assert said["ids"] == SENTENCE_IDS
        assert said["mask"] == [[1] * 9]
        assert said["kind"] == "bert"
        assert said["labels"] == sorted(STARS.values())
        assert said["pipeline"] == said["label"]
        assert (said["chinese"], said["sharded"], said["pickled"]) == (True, True, True)
        assert said["missing"] == "OSError"
        asked.append(len(scene.exchanges) - before)
    assert asked[0] > 0
    assert asked[1] == 0, "a client that is offline asked something"
    assert scene.promises()


def test_sentence_transformers_is_at_home(scene: Scene, client: Build, record_property: Tell) -> None:
    record_property("client", "sentence-transformers")
    said = scene.python(client("transformers-5"), "sentences.py", on.MINILM)
    record_property("client", f"sentence-transformers {said['version']}")
    assert said["width"] == 384
    assert said["cat_kitten"] == pytest.approx(0.660, abs=0.001)
    assert said["cat_kitten_plain"] == pytest.approx(said["cat_kitten"], abs=1e-4)
    assert said["cat_other"] < said["cat_kitten"]
    assert scene.promises()


@pytest.mark.parametrize("name", DATASETS)
def test_datasets_is_at_home(name: str, scene: Scene, client: Build, record_property: Tell) -> None:
    record_property("client", RECIPES[name].client)
    scene.refused += [
        # Its viewer's service is looked for under the Hub's own name; a mirror has no such host.
        f"datasets-server.{urlsplit(scene.tap.endpoint).hostname}",
        # It counts loads of csv and json there, unless HF_UPDATE_DOWNLOAD_COUNTS=0; it goes on without an answer.
        "s3.amazonaws.com",
    ]
    repos = {"parquet": on.PARQUET, "csv": on.CSV, "lines": on.LINES, "missing": on.MISSING}
    said = scene.python(client(name), "rows.py", json.dumps(repos), str(FIRST))
    assert f"datasets {said['version']}" == RECIPES[name].client
    train, test, stars = told(rows(0)), told(rows(1000)), told(rows(2000))
    assert said["configurations"] == ["flights", "stars"]
    assert said["parquet"] == {"train": train, "test": test}
    assert said["stars"] == {"train": stars}
    assert said["csv"] == {"train": train, "test": test}
    assert said["glob"] == {"train": told([*rows(1000), *rows(0)])}
    assert said["lines"] == {"train": train}
    assert said["stream parquet"] == told(rows(0)[:FIRST])
    assert said["stream csv"] == told(rows(1000)[:FIRST])
    assert said["stream lines"] == told(rows(0)[:FIRST])
    kind = "DatasetNotFoundError" if scene.state in {"warm", "cold"} else "Exception"
    assert kind in said["missing"], said["missing"]
    assert scene.promises()


def told(some: Iterable[dict[str, Any]]) -> list[object]:
    """As `rows.py` tells them."""
    hasher, count = hashlib.sha256(), 0
    for row in some:
        text = {key: row[key] for key in ("number", "word", "share")}
        hasher.update(json.dumps(text, sort_keys=True).encode())
        count += 1
    return [count, hasher.hexdigest()]


def test_diffusers_is_at_home(scene: Scene, made: Made, client: Build, record_property: Tell) -> None:
    record_property("client", RECIPES["diffusers"].client)
    said = scene.python(client("diffusers"), "pipelines.py", on.DIFFUSION, str(made.models / "diffusion"))
    assert f"diffusers {said['version']}" == RECIPES["diffusers"].client
    assert said["files"] == sorted(scene.shelf.shas(on.DIFFUSION))
    assert said["parts"] == ["scheduler", "text_encoder", "tokenizer", "unet", "vae"]
    assert said["shape"] == [1, 16, 16, 3]
    assert said["equal"]
    assert said["part"] == said["same part"] > 0
    assert scene.promises()
