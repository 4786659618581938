from pathlib import Path

import numpy as np
import pytest

from kexport.runtime import BadInput, Session, load

GREEN = np.full((8, 6, 3), (20, 200, 40), np.uint8)


def refusal(session: Session, inputs: object) -> BadInput:
    with pytest.raises(BadInput) as caught:
        session.run(inputs)
    assert caught.value.exit_code == 16
    return caught.value


@pytest.mark.parametrize("batch", [1, 4, None])
def test_outputs_equal_the_models(build, sample_images, truth, batch):
    session = load(build(batch=batch, outputs=("probabilities", "logits", "features")))
    images = sample_images(4, seed=3)
    found = session.run(images)
    assert list(found) == ["probabilities", "logits", "features"]
    for name, array in truth(images).items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], array, rtol=2e-5, atol=1e-5)


def test_only_listed_outputs_come_back(bundle: Path, sample_images):
    assert list(load(bundle).run(sample_images(1))) == ["probabilities"]


def test_a_dict_gives_the_same_outputs_as_an_array(bundle: Path, sample_images):
    session, images = load(bundle), sample_images(1)
    by_name = session.run({"image": images})["probabilities"]
    np.testing.assert_array_equal(by_name, session.run(images)["probabilities"])


def test_nested_lists_count_as_arrays_of_their_own_dtype(bundle: Path):
    assert "got int64 [1, 8, 6, 3]" in str(refusal(load(bundle), GREEN[None].tolist()))


def test_slices_and_other_strides(bundle: Path, sample_images):
    session, images = load(bundle), sample_images(1)
    flipped = images[:, ::-1, :, ::-1]
    expected = session.run(flipped.copy())["probabilities"]
    np.testing.assert_array_equal(session.run(flipped)["probabilities"], expected)


@pytest.mark.parametrize("batch", [1, None])
def test_one_image_gets_a_batch_of_one(build, batch):
    session = load(build(batch=batch))
    one = session.run(GREEN)["probabilities"]
    assert one.shape == (1, 5)
    np.testing.assert_array_equal(one, session.run(GREEN[np.newaxis])["probabilities"])


def test_one_image_for_a_larger_batch_is_refused(build):
    fault = refusal(load(build(batch=4)), GREEN)
    assert str(fault) == "input 'image' takes uint8 [4, 8, 6, 3], got uint8 [8, 6, 3]"
    assert fault.hint == "stack 4 samples along a new first axis"


@pytest.mark.parametrize("batch", [1, 2, 3, 6])
def test_multiples_of_a_fixed_batch_are_split_and_joined(build, sample_images, truth, batch):
    images = sample_images(6)
    found = load(build(batch=batch)).run(images)["probabilities"]
    np.testing.assert_allclose(found, truth(images)["probabilities"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_other_numbers_of_samples_are_refused(build, sample_images, count):
    fault = refusal(load(build(batch=4)), sample_images(count))
    assert str(fault) == f"got {count} samples, but the model takes 4 at a time"
    assert fault.hint == "give a multiple of 4, or export with a dynamic batch"


@pytest.mark.parametrize("count", [1, 3, 4, 5, 9])
def test_padding_takes_any_number_of_samples(build, sample_images, truth, count):
    images = sample_images(count)
    found = load(build(batch=4)).run(images, fill=True)["probabilities"]
    np.testing.assert_allclose(found, truth(images)["probabilities"], rtol=1e-5, atol=1e-6)


def test_outputs_without_a_batch_cannot_be_joined(build, rewrite, sample_images):
    bundle = build(batch=None)
    rewrite(bundle, lambda data: data["inputs"][0]["shape"].__setitem__(0, 2))
    fault = refusal(load(bundle), sample_images(4))
    assert str(fault) == "got 4 samples, but the model takes 2 at a time"
    assert fault.hint == "give 2, or export with a dynamic batch"


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_another_dtype(bundle: Path, dtype: str):
    fault = refusal(load(bundle), GREEN[None].astype(dtype))
    assert str(fault) == f"input 'image' takes uint8 [1, 8, 6, 3], got {dtype} [1, 8, 6, 3]"
    assert fault.hint == "pass RGB as uint8 0..255: preprocessing is inside the model"


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((1, 9, 6, 3), "resize to 8 x 6 first, or use classify(), which does"),
        ((1, 6, 8, 3), "resize to 8 x 6 first, or use classify(), which does"),
        ((1, 3, 8, 6), "put channels last: array.transpose(0, 2, 3, 1)"),
        ((1, 8, 6, 4), "give 3 channels, in RGB order"),
        ((1, 8, 6, 1), "give 3 channels, in RGB order"),
        ((8, 6), None),
        ((1, 1, 8, 6, 3), None),
        ((0, 8, 6, 3), "give at least one sample"),
    ],
)
def test_another_shape(bundle: Path, shape: tuple[int, ...], hint: str):
    fault = refusal(load(bundle), np.zeros(shape, np.uint8))
    assert str(fault) == f"input 'image' takes uint8 [1, 8, 6, 3], got uint8 {list(shape)}"
    assert fault.hint == hint


@pytest.mark.parametrize("value", [None, "image.jpg", object(), [[1], [1, 2]]])
def test_values_that_are_not_arrays(bundle: Path, value: object):
    assert "input 'image'" in str(refusal(load(bundle), value))


def test_an_unknown_and_a_missing_name(bundle: Path):
    session = load(bundle)
    fault = refusal(session, {"images": GREEN})
    assert str(fault) == "no input named 'images'"
    assert fault.hint == "the model's inputs are: image"
    assert str(refusal(session, {})) == "input 'image' is missing"


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_below_one(bundle: Path, threads: int):
    with pytest.raises(BadInput, match="threads must be 1 or more"):
        load(bundle, threads=threads)


def test_threads_reach_the_engine(bundle: Path):
    options = load(bundle, threads=1).engine._session.get_session_options()
    assert options.intra_op_num_threads == 1


def test_the_repr_of_a_session(bundle: Path):
    assert repr(load(bundle)).startswith("<Session mean_colour for cpu-fp32: onnxruntime 1.")
