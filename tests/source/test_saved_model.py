"""Model files: damage is reported, and no file runs code that it carries."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from model_files import ONES, in_both, plain, refused, with_config, with_layer

from kexport.errors import UnreadableModel, UnsupportedModel, UntrustedModel
from kexport.source.saved_model import load_file


@in_both
def test_a_model_is_loaded_and_not_compiled(
    kind: str, saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load_file(saved / f"plain{kind}", trust=False)
    np.testing.assert_allclose(np.asarray(model(ONES)), np.load(saved / "expected.npy"), rtol=1e-6)
    assert not model.compiled
    assert capsys.readouterr().out == ""


@in_both
def test_a_missing_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"nowhere{kind}"
    assert str(refused(path, UnreadableModel)) == f"there is no file {path}"


@in_both
def test_an_empty_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"empty{kind}"
    path.touch()
    assert str(refused(path, UnreadableModel)) == f"{path} is empty"


@in_both
def test_a_file_of_another_kind(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"text{kind}"
    path.write_text("this is no model", encoding="utf-8")
    assert "is damaged, or is not" in str(refused(path, UnreadableModel))


@in_both
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_truncated_file(kind: str, share: float, saved: Path, tmp_path: Path) -> None:
    whole = (saved / f"plain{kind}").read_bytes()
    path = tmp_path / f"cut{kind}"
    path.write_bytes(whole[: int(len(whole) * share)])
    assert str(path) in str(refused(path, UnreadableModel))


def test_an_ending_that_keras_does_not_write(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\x07")
    assert "neither a .keras nor an .h5 file" in str(refused(path, UnreadableModel))


def test_a_folder_and_a_saved_model(tmp_path: Path) -> None:
    assert str(refused(tmp_path, UnreadableModel)) == f"{tmp_path} is a folder"
    (tmp_path / "saved_model.pb").touch()
    assert "is a SavedModel" in str(refused(tmp_path, UnreadableModel))


def test_weights_alone_point_to_the_option_for_them(tmp_path: Path) -> None:
    path = tmp_path / "only.weights.h5"
    plain().save_weights(path)
    error = refused(path, UnreadableModel)
    assert "holds weights and no model" in str(error)
    assert "`recipe.weights=" in (error.hint or "")


def test_hdf5_under_the_name_of_an_archive(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.keras"
    shutil.copy(saved / "plain.h5", path)
    assert refused(path, UnreadableModel).hint == "rename it to old.h5"


@pytest.mark.parametrize("member", ["config.json", "metadata.json", "model.weights.h5"])
def test_an_archive_without_a_member(member: str, saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "part.keras"
    with zipfile.ZipFile(saved / "plain.keras") as whole, zipfile.ZipFile(path, "w") as part:
        for name in whole.namelist():
            if name != member:
                part.writestr(name, whole.read(name))
    assert refused(path, UnreadableModel)


@pytest.mark.parametrize("text", ["", "[", "[]", "17", '{"class_name": 3}', "[" * 100_000])
@in_both
def test_a_configuration_of_no_model(kind: str, text: str, saved: Path, tmp_path: Path) -> None:
    assert refused(with_config(saved, tmp_path, kind, text), UnreadableModel)


@in_both
def test_a_lambda_is_not_run(kind: str, tmp_path: Path) -> None:
    """Neither at loading nor later; with trust it is, which shows that this one would."""
    mark = tmp_path / "ran"
    payload = f"lambda x: (__import__('pathlib').Path({str(mark)!r}).touch(), x)[1]"
    path = tmp_path / f"evil{kind}"
    layer = keras.layers.Lambda(eval(payload), output_shape=(4, 4, 3), name="scale")
    with_layer(layer).save(path)
    mark.unlink(missing_ok=True)
    error = refused(path, UntrustedModel)
    assert str(error).startswith("layer 'scale', a Lambda layer,")
    assert "`recipe.trust=True`" in (error.hint or "")
    assert not mark.exists()
    load_file(path, trust=True)(ONES)
    assert mark.exists()


@in_both
def test_a_lambda_deep_inside_is_found(kind: str, tmp_path: Path) -> None:
    inner = keras.Sequential([keras.Input((4, 3)), keras.layers.Lambda(lambda x: x, name="hidden")])
    path = tmp_path / f"deep{kind}"
    with_layer(keras.layers.TimeDistributed(inner)).save(path)
    assert "'hidden'" in str(refused(path, UntrustedModel))


@in_both
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"class_name": "Conv2D"', '"class_name": "TorchModuleWrapper"'),
        ('"class_name": "Conv2D"', '"class_name": "TFSMLayer"'),
        ('"activation": "relu"', '"activation": {"class_name": "__lambda__", "config": {}}'),
    ],
)
def test_other_carriers_of_code_are_refused(
    kind: str, before: str, after: str, saved: Path, tmp_path: Path
) -> None:
    config = plain().to_json()
    assert before in config
    path = with_config(saved, tmp_path, kind, config.replace(before, after))
    assert "carries code" in str(refused(path, UntrustedModel))


def test_a_function_of_any_module_is_not_imported(saved: Path, tmp_path: Path) -> None:
    call = {"module": "os", "class_name": "function", "config": "abort", "registered_name": "abort"}
    config = plain().to_json().replace('"activation": "relu"', f'"activation": {json.dumps(call)}')
    path = with_config(saved, tmp_path, ".keras", config)
    error = refused(path, UnsupportedModel, trust=True)
    assert "the custom function 'abort' of layer" in str(error)


class Doubled(keras.layers.Layer):
    def call(self, inputs: Any) -> Any:
        return 2 * inputs


def tripled(inputs: Any) -> Any:
    return 3 * inputs


@in_both
@pytest.mark.parametrize("trust", [False, True])
def test_a_custom_class_has_to_be_registered(kind: str, trust: bool, tmp_path: Path) -> None:
    path = tmp_path / f"custom{kind}"
    with_layer(Doubled(name="twice")).save(path)
    error = refused(path, UnsupportedModel, trust=trust)
    assert "'Doubled'" in str(error)
    assert "keras.saving.register_keras_serializable" in (error.hint or "")
    with keras.saving.custom_object_scope({"Doubled": Doubled}):
        assert np.asarray(load_file(path, trust=trust)(ONES)).max() == 2


@in_both
def test_a_custom_function_has_to_be_registered(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"custom{kind}"
    with_layer(keras.layers.Activation(tripled, name="thrice")).save(path)
    assert "the custom function 'tripled' of layer 'thrice'" in str(refused(path, UnsupportedModel))
    with keras.saving.custom_object_scope({"tripled": tripled}):
        assert np.asarray(load_file(path, trust=False)(ONES)).max() == 3


def test_an_operation_in_a_legacy_file_says_how_to_save_it(tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    with_layer(lambda x: keras.ops.relu(x) + 1).save(path)
    error = refused(path, UnsupportedModel)
    assert "Unknown layer: 'Relu'" in str(error)
    assert (error.hint or "").startswith("save the model as .keras")
