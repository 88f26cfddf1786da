"""Measures of classification and calibration: arrays in, numbers out. No torch."""

from mien.metrics.calibration import calibration_error, fit_temperature, reliability
from mien.metrics.classification import accuracy, confusion, macro_f1, recalls, uar

__all__ = [
    "accuracy",
    "calibration_error",
    "confusion",
    "fit_temperature",
    "macro_f1",
    "recalls",
    "reliability",
    "uar",
]
