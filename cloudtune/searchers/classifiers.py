"""Classifiers that tell good configurations from others, on numpy alone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cloudtune.searchers.forest import Array, Forest, ForestOptions

Probability = Callable[[Array], Array]
"""Of points ``(m, d)``: ``(m,)``, how likely each is good; any increasing function of it will do."""


class Classifier(Protocol):
    """Fits points ``(n, d)`` of the unit cube and labels ``(n,)``, True for good ones, both kinds among them."""

    def __call__(self, points: Array, good: NDArray[np.bool_], random_state: np.random.Generator, /) -> Probability: ...


def multilayer_perceptron(points: Array, good: NDArray[np.bool_], random_state: np.random.Generator) -> Probability:
    """Two hidden layers of 32 units, trained with Adam (Kingma and Ba 2015) on the logistic loss.

    The network of Tiao et al. 2021, section 5, with tanh and a small weight decay instead of early stopping.
    """
    inputs, labels = 2.0 * points - 1.0, good.astype(np.float64)
    sizes = [points.shape[1], 32, 32, 1]
    weights = [random_state.standard_normal((a, b)) / np.sqrt(a) for a, b in pairwise(sizes)]
    layers = [np.vstack([weight, np.zeros((1, weight.shape[1]))]) for weight in weights]
    first, second = [np.zeros_like(layer) for layer in layers], [np.zeros_like(layer) for layer in layers]
    for step in range(1, 151):
        for index, gradient in enumerate(_gradients(layers, inputs, labels)):
            gradient += 1e-3 * layers[index]
            first[index] += 0.1 * (gradient - first[index])
            second[index] += 0.01 * (gradient**2 - second[index])
            rate = 0.02 * np.sqrt(1 - 0.99**step) / (1 - 0.9**step)
            layers[index] -= rate * first[index] / (np.sqrt(second[index]) + 1e-8)
    return lambda at: _forward(layers, 2.0 * at - 1.0)[-1][:, 0]


def _forward(layers: list[Array], inputs: Array) -> list[Array]:
    """The values of all layers; of the last one logits."""
    values = [inputs]
    for index, layer in enumerate(layers):
        sums = values[-1] @ layer[:-1] + layer[-1]
        values.append(np.tanh(sums) if index < len(layers) - 1 else sums)
    return values


def _gradients(layers: list[Array], inputs: Array, labels: Array) -> list[Array]:
    values = _forward(layers, inputs)
    back = ((1 / (1 + np.exp(-values[-1][:, 0])) - labels) / len(labels))[:, None]
    gradients = []
    for layer, below in zip(reversed(layers), reversed(values[:-1]), strict=True):
        gradients.append(np.vstack([below.T @ back, back.sum(axis=0, keepdims=True)]))
        back = (back @ layer[:-1].T) * (1 - below**2)
    return gradients[::-1]


def random_forest(points: Array, good: NDArray[np.bool_], random_state: np.random.Generator) -> Probability:
    """Extremely randomized trees; the probability is the mean share of good points in a leaf."""
    forest = Forest(points, good.astype(np.float64), ForestOptions(), random_state)
    return forest.mean


def logistic_regression(points: Array, good: NDArray[np.bool_], random_state: np.random.Generator) -> Probability:
    """On the coordinates and their squares, with an L2 penalty; by Newton's method."""
    features = _quadratic(points)
    weights = np.zeros(features.shape[1])
    for _ in range(20):
        probability = 1 / (1 + np.exp(-features @ weights))
        gradient = features.T @ (probability - good) + 0.1 * weights
        curvature = (features * (probability * (1 - probability))[:, None]).T @ features
        weights -= np.linalg.solve(curvature + 0.1 * np.eye(len(weights)), gradient)
    return lambda at: _quadratic(at) @ weights


def _quadratic(points: Array) -> Array:
    centered = 2.0 * points - 1.0
    return np.hstack([np.ones((len(points), 1)), centered, centered**2])


def gaussian_process(points: Array, good: NDArray[np.bool_], random_state: np.random.Generator) -> Probability:
    """With a Matérn 5/2 kernel, by Laplace's approximation (Rasmussen and Williams 2006, algorithms 3.1 and 3.2).

    Of some lengthscales, the same in all dimensions, the one with the largest evidence is taken.
    """
    fits = [_laplace(points, good, scale) for scale in _LENGTHSCALES]
    return max(fits, key=lambda fit: fit[0])[1]


_LENGTHSCALES = (0.1, 0.2, 0.4, 0.8, 1.6)
_VARIANCE = 4.0


def _laplace(points: Array, good: NDArray[np.bool_], scale: float) -> tuple[float, Probability]:
    scale = scale * np.sqrt(points.shape[1])
    kernel = _VARIANCE * _matern(points, points, scale)
    latent = np.zeros(len(points))
    for _ in range(15):
        probability = 1 / (1 + np.exp(-latent))
        noise = probability * (1 - probability)
        root = np.sqrt(noise)
        inner = np.eye(len(points)) + root[:, None] * kernel * root
        right = noise * latent + (good - probability)
        dual = right - root * np.linalg.solve(inner, root * (kernel @ right))
        latent = kernel @ dual
    _, logdet = np.linalg.slogdet(inner)
    evidence = -0.5 * dual @ latent - np.log1p(np.exp(-np.where(good, latent, -latent))).sum() - 0.5 * logdet
    residual = good - 1 / (1 + np.exp(-latent))
    return float(evidence), lambda at: _VARIANCE * _matern(at, points, scale) @ residual


def _matern(first: Array, second: Array, scale: float) -> Array:
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1) - 2 * first @ second.T
    distances = np.sqrt(5 * np.maximum(squares, 0.0)) / scale
    return np.asarray((1 + distances + distances**2 / 3) * np.exp(-distances))
