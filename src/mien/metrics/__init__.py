"""Measures of classification, calibration, regression and agreement: arrays in, numbers out. No torch."""

from mien.metrics.agreement import Icc, cohen_kappa, count_ratings, fleiss_kappa, icc, krippendorff_alpha
from mien.metrics.bootstrap import Interval, bootstrap
from mien.metrics.calibration import calibration_error, fit_temperature, reliability
from mien.metrics.classification import (
    accuracy,
    balanced,
    confusion,
    f1_scores,
    macro_f1,
    precisions,
    recalls,
    uar,
    uf1,
    weighted_f1,
)
from mien.metrics.comparison import McNemar, mcnemar, mcnemar_counts
from mien.metrics.copies import BothWays, both_ways
from mien.metrics.distributions import HumanCeiling, cross_entropy, human_ceiling, jensen_shannon, kl_divergence
from mien.metrics.regression import ccc, mae, pearson, rmse, sign_agreement, spearman
from mien.metrics.selective import aurc, coverage_at, excess_aurc, risk_coverage

__all__ = [
    "BothWays",
    "HumanCeiling",
    "Icc",
    "Interval",
    "McNemar",
    "accuracy",
    "aurc",
    "balanced",
    "bootstrap",
    "both_ways",
    "calibration_error",
    "ccc",
    "cohen_kappa",
    "confusion",
    "count_ratings",
    "coverage_at",
    "cross_entropy",
    "excess_aurc",
    "f1_scores",
    "fit_temperature",
    "fleiss_kappa",
    "human_ceiling",
    "icc",
    "jensen_shannon",
    "kl_divergence",
    "krippendorff_alpha",
    "macro_f1",
    "mae",
    "mcnemar",
    "mcnemar_counts",
    "pearson",
    "precisions",
    "recalls",
    "reliability",
    "risk_coverage",
    "rmse",
    "sign_agreement",
    "spearman",
    "uar",
    "uf1",
    "weighted_f1",
]
