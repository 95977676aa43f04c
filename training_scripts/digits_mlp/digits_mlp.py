"""A multi-layer perceptron on scikit-learn's digits: reports after each epoch, checkpoints before each report.

    python digits_mlp.py --epochs 9 --learning_rate 0.05

Needs no data, no accelerator and a second or two. With the same arguments it reports the same numbers, also if it was
stopped after any epoch and started again with the same ``--st_checkpoint_dir``.
"""

from __future__ import annotations

import os

# many trials share a machine; before numpy is loaded
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from cloudtune import Reporter
from cloudtune.checkpointing import (
    add_checkpointing_to_argparse,
    add_config_json_to_argparse,
    checkpoint_model_at_rung_level,
    load_config_json,
    resume_from_checkpointed_model,
)


def new_model(config: dict[str, Any]) -> MLPClassifier:
    return MLPClassifier(
        hidden_layer_sizes=(config["hidden_units"],) * config["hidden_layers"],
        activation=config["activation"],
        solver="sgd",
        learning_rate_init=config["learning_rate"],
        momentum=config["momentum"],
        alpha=config["alpha"],
        batch_size=config["batch_size"],
        # a generator, not a number: a number would shuffle every epoch alike
        random_state=np.random.RandomState(config["seed"]),
    )


def train(config: dict[str, Any]) -> None:
    images, labels = load_digits(return_X_y=True)
    train_x, valid_x, train_y, valid_y = train_test_split(
        images / 16.0, labels, test_size=0.3, random_state=0, stratify=labels
    )
    classes = np.unique(labels)
    model = new_model(config)

    def load_model(local_path: str) -> None:
        nonlocal model
        model = pickle.loads(Path(local_path, "model.pkl").read_bytes())

    def save_model(local_path: str, epoch: int) -> None:
        Path(local_path, "model.pkl").write_bytes(pickle.dumps(model))

    done = resume_from_checkpointed_model(config, load_model)
    report = Reporter()
    for epoch in range(done + 1, config["epochs"] + 1):
        try:
            model.partial_fit(train_x, train_y, classes=classes)
        except ValueError as error:
            if "non-finite" not in str(error):
                raise
            report(epoch=epoch, accuracy=0.0, loss=float("nan"))  # a learning rate far too large
            return
        checkpoint_model_at_rung_level(config, save_model, epoch)
        report(epoch=epoch, accuracy=model.score(valid_x, valid_y), loss=model.loss_)

    if "SM_MODEL_DIR" in os.environ:
        folder = Path(os.environ["SM_MODEL_DIR"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.pkl").write_bytes(pickle.dumps(model))


def arguments() -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--learning_rate", type=float, default=0.05, help="useful: 1e-4 to 1, log scale")
    parser.add_argument("--momentum", type=float, default=0.9, help="useful: 0 to 0.99")
    parser.add_argument("--batch_size", type=int, default=32, help="useful: 8 to 256, log scale")
    parser.add_argument("--hidden_units", type=int, default=64, help="useful: 8 to 256, log scale")
    parser.add_argument("--hidden_layers", type=int, default=1, help="useful: 1 to 3")
    parser.add_argument("--alpha", type=float, default=1e-4, help="weight decay; useful: 1e-6 to 1, log scale")
    parser.add_argument("--activation", choices=["relu", "tanh", "logistic"], default="relu")
    parser.add_argument("--seed", type=int, default=0)
    add_checkpointing_to_argparse(parser)
    add_config_json_to_argparse(parser)
    known, _ = parser.parse_known_args()
    return load_config_json(vars(known))


if __name__ == "__main__":
    # an overflow is answered by what is reported
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    train(arguments())
