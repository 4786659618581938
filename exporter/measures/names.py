"""Names of measures, and how their values are written."""

from __future__ import annotations

TITLES = {
    "top1": "top-1 accuracy",
    "f1": "F1",
    "auc": "AUC",
    "accuracy": "accuracy",
    "mean_f1": "mean F1",
    "map": "mAP",
    "mean_iou": "mean IoU",
    "pixel_accuracy": "pixel accuracy",
    "mae": "mean absolute error",
    "map_50_95": "mAP 50-95",
    "map_50": "mAP 50",
    "recall_at_1": "recall at 1",
    "recall_at_5": "recall at 5",
    "psnr": "PSNR",
}
"""What each measure is called. Those of a single number are `mae` with the number's name."""

LOST = {
    "labels": "of Keras' top-1 accuracy is lost",
    "agreement": "of the held-out images get another class than Keras gives them",
    "noise": "of the output's power is noise",
    "spread": "of the numbers' variance is noise",
    "directions": "of the variance of the vectors' directions is noise",
    "f1": "of F1 is lost",
    "mean_f1": "of the mean F1 is lost",
    "mean_iou": "of the mean IoU is lost",
    "mae": "of the numbers' spread is added to the mean absolute error",
    "map_50_95": "of mAP 50-95 is lost",
    "recall_at_1": "of recall at 1 is lost",
    "psnr": "of the PSNR is lost",
}
"""What a drop is, for each measure that can decide about int8."""

ALLOWED = {
    "labels": "top-1 accuracy may drop by {:.1%}",
    "agreement": "{:.1%} of the images may get another class than Keras gives them",
    "noise": "noise may be {:.1%} of the output's power",
    "spread": "noise may be {:.1%} of the numbers' variance",
    "directions": "noise may be {:.1%} of the variance of the vectors' directions",
    "f1": "F1 may drop by {:.1%}",
    "mean_f1": "the mean F1 may drop by {:.1%}",
    "mean_iou": "the mean IoU may drop by {:.1%}",
    "mae": "the mean absolute error may grow by {:.1%} of the numbers' spread",
    "map_50_95": "mAP 50-95 may drop by {:.1%}",
    "recall_at_1": "recall at 1 may drop by {:.1%}",
    "psnr": "the PSNR may drop by {:.1%} of its value",
    "nothing": "random weights: classes mean nothing, so nothing is refused",
}
"""What the largest drop says, for each measure that can decide about int8."""


def title_of(measure: str) -> str:
    """Return what a measure is called; that of one number, by its name alone."""
    name, _, number = measure.partition(":")
    return number or TITLES[name]


def written(measure: str, value: float, *, unit: bool = True) -> str:
    """Write a value: a share in percent, a PSNR in decibels, an error as a number.

    `unit` says whether the unit is written too.
    """
    name = measure.partition(":")[0]
    if name == "mae":
        return f"{value:.4g}"
    if name == "psnr":
        return f"{value:.1f}{' dB' if unit else ''}"
    return f"{100 * value:.1f}{' %' if unit else ''}"
