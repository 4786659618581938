"""Mean IoU against Keras, and errors of numbers against scikit-learn."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn import metrics

from kexport.errors import BadArgument
from kexport.measures.masks import Masks
from kexport.measures.measure import compare, value_interval
from kexport.measures.numbers import Errors, spreads_of
from kexport.runtime.regress import numbers_of
from kexport.runtime.segment import Mask

RNG = np.random.default_rng(4)


def saved(folder: Path, masks: np.ndarray) -> tuple[Path, ...]:
    paths = tuple(folder / f"{index}.png" for index in range(len(masks)))
    for path, mask in zip(paths, masks, strict=True):
        Image.fromarray(mask).save(path)
    return paths


def test_mean_iou_is_that_of_keras(tmp_path: Path) -> None:
    """Class 3 occurs nowhere, so that it does not count; 255 and what is not seen neither."""
    true, found = RNG.integers(0, 3, (2, 6, 8, 9)).astype(np.uint8)
    true[:, 0], found[:, :, 0] = 255, 255
    measure = Masks(saved(tmp_path, true), 4)
    kept = [measure.keep(Mask(mask, (), ()), row) for row, mask in enumerate(found)]
    counted = (true != 255) & (found != 255)
    expected = keras.metrics.MeanIoU(4)
    expected.update_state(true[counted], found[counted])
    summary = measure.summary(kept)
    assert summary["mean_iou"] == pytest.approx(float(expected.result()), rel=1e-6)
    assert summary["pixel_accuracy"] == pytest.approx(np.mean((true == found)[counted]))


def test_an_image_that_counts_twice(tmp_path: Path) -> None:
    true, found = RNG.integers(0, 3, (2, 4, 5, 5)).astype(np.uint8)
    measure = Masks(saved(tmp_path, true), 3)
    kept = [measure.keep(Mask(mask, (), ()), row) for row, mask in enumerate(found)]
    twice = measure.values([*kept, kept[1]], np.ones((1, 5)))
    assert measure.values(kept, np.array([[1.0, 2.0, 1.0, 1.0]])) == pytest.approx(twice)


def test_wrong_masks_are_refused(tmp_path: Path) -> None:
    true = np.zeros((2, 4, 4), np.uint8)
    true[0, 0], true[1, 0] = 255, 7
    measure = Masks(saved(tmp_path, true), 2)
    blank = Mask(np.zeros((4, 4), np.uint8), (), ())
    with pytest.raises(BadArgument, match="has the class 7, and the model has 2, from 0 to 1"):
        measure.keep(blank, 1)
    with pytest.raises(BadArgument, match="no pixel of a class from 1 on: 255 means"):
        measure.summary([measure.keep(blank, 0)])


def test_errors_of_numbers() -> None:
    true, found = RNG.normal(size=(2, 30, 2)) * [1, 100]
    measure = Errors(true, ("width", "height"), spreads_of(true))
    kept = [measure.keep(numbers_of({"y": row}, ["y"], None), i) for i, row in enumerate(found)]
    each = metrics.mean_absolute_error(true, found, multioutput="raw_values")
    expected = {"mae": each.mean(), "mae:width": each[0], "mae:height": each[1]}
    assert measure.summary(kept) == pytest.approx(expected)
    constant = np.broadcast_to(np.median(true, axis=0), true.shape)
    spreads = metrics.mean_absolute_error(true, constant, multioutput="raw_values")
    assert spreads_of(true) == pytest.approx(spreads)


def test_the_loss_of_numbers_is_relative_to_their_spread() -> None:
    """An error that grows by a tenth of each spread is a loss of 0.1, whatever the units."""
    true = RNG.normal(size=(40, 2)) * [1, 100]
    spreads = spreads_of(true)
    measure = Errors(true, ("a", "b"), spreads)
    keras_side = [np.zeros(2)] * 40
    grown = [one * spreads for one in RNG.uniform(0, 0.2, 40)]
    found = compare(measure, keras_side, grown, 0.95)
    shares = np.array(grown)[:, 0] / spreads[0]
    assert found.drop == pytest.approx(shares.mean())
    half = 1.96 * shares.std() / np.sqrt(40)
    assert found.interval == pytest.approx((found.drop - half, found.drop + half), abs=0.004)


def test_the_interval_of_a_mean_is_the_normal_one() -> None:
    """Of a mean over many images, the weights give the interval of the central limit theorem."""
    true = np.zeros((400, 1))
    errors = [np.array([one]) for one in RNG.exponential(size=400)]
    measure = Errors(true, ("a",), np.ones(1))
    low, high = value_interval(measure, errors, 0.95)
    mean, half = np.mean(errors), 1.96 * np.std(errors) / 20
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.02)
