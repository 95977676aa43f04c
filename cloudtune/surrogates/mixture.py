"""Several models that are equally likely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cloudtune.surrogates.prediction import Array, DifferentiablePredictor, Prediction, Pullback


@dataclass(frozen=True)
class Mixture:
    """A ``DifferentiablePredictor`` whose members are those of all ``parts``, which have equally many."""

    parts: Sequence[DifferentiablePredictor]

    def predict(self, points: Array) -> Prediction:
        return _joined([part.predict(points) for part in self.parts])

    def predict_with_pullback(self, points: Array) -> tuple[Prediction, Pullback]:
        predictions, pullbacks = zip(*(part.predict_with_pullback(points) for part in self.parts), strict=True)
        joined = _joined(predictions)
        widths = [prediction.mean.shape[1] for prediction in predictions]
        starts = np.cumsum([0, *widths])

        def pullback(by_mean: Array, by_std: Array) -> Array:
            slopes = np.zeros(points.shape)
            for part, begin, end in zip(range(len(widths)), starts, starts[1:], strict=False):
                std = by_std[:, begin:end].sum(axis=1, keepdims=True)
                slopes += pullbacks[part](by_mean[:, begin:end], std)
            return slopes

        return joined, pullback


def _joined(predictions: Sequence[Prediction]) -> Prediction:
    mean = np.concatenate([prediction.mean for prediction in predictions], axis=1)
    std = np.concatenate([np.broadcast_to(prediction.std, prediction.mean.shape) for prediction in predictions], axis=1)
    return Prediction(mean, std)
