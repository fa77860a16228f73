"""Texts become vectors by the real loading code of a tiny CLIP and of a tiny encoder of sentences."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_models import make_clip, make_sentence_encoder

from vlmine_dagster.domain.errors import ModelError
from vlmine_dagster.resources.text_encoder import TextEncoder, packaged
from vlmine_dagster.settings.describing import TextEncoderSettings


@pytest.mark.parametrize("make", [make_clip, make_sentence_encoder])
def test_a_text_has_one_vector_whatever_comes_with_it(make: Callable[[Path], Path], tmp_path: Path):
    encoder = TextEncoder(TextEncoderSettings(model=str(make(tmp_path / "model"))), folder=tmp_path)

    alone, together = encoder.vectors(["a cup"]), encoder.vectors(["a cup", "the dog runs over wet meadow", "a cup"])

    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert np.allclose(together[0], alone[0], atol=1e-4)  # padding counts for nothing
    assert (together[0] == together[2]).all()
    assert together[0] @ together[1] < 0.99


def test_what_is_no_checkpoint_is_named(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="text_encoder: .*empty cannot be loaded as an encoder of texts"):
        TextEncoder(TextEncoderSettings(model=str(tmp_path / "empty")), folder=tmp_path).vectors(["a cup"])


def test_a_checkpoint_is_found_in_an_installed_package_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    files = {
        "words/__init__.py": "raise ImportError('sentence_transformers')",
        "words/model/config.json": "{}",
        "words/model/1_Pooling/config.json": "{}",
        "words/model/model.safetensors": "",
        "words-1.dist-info/METADATA": "Metadata-Version: 2.4\nName: words\nVersion: 1\n",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "words-1.dist-info/RECORD").write_text("".join(f"{name},,\n" for name in files))
    monkeypatch.syspath_prepend(str(tmp_path))

    assert packaged("words") == str(tmp_path / "words/model")
    assert [packaged(name) for name in ("numpy", "no-such-package", "owner/model", "")] == [None] * 4
