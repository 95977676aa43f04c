"""A linear classifier of scikit-learn's digits that knows nothing of any tuner: it prints a line per epoch.

epoch 3: train loss 1.2e-01, validation accuracy 0.953
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--eta0", type=float, default=0.01, help="learning rate")
    parser.add_argument("--alpha", type=float, default=1e-4, help="weight decay")
    parser.add_argument("--penalty", choices=["l1", "l2"], default="l2")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    images, labels = load_digits(return_X_y=True)
    train_x, valid_x, train_y, valid_y = train_test_split(
        images / 16.0, labels, test_size=0.3, random_state=0, stratify=labels
    )
    classes = np.unique(labels)
    model = SGDClassifier(
        loss="log_loss", learning_rate="constant", eta0=args.eta0, alpha=args.alpha, penalty=args.penalty
    )
    model.set_params(random_state=np.random.RandomState(args.seed))

    print(f"training on {len(train_x)} digits, validating on {len(valid_x)}")
    for epoch in range(1, args.epochs + 1):
        model.partial_fit(train_x, train_y, classes=classes)
        loss = log_loss(train_y, model.predict_proba(train_x), labels=classes)
        accuracy = model.score(valid_x, valid_y)
        print(f"epoch {epoch}: train loss {loss:.1e}, validation accuracy {accuracy:.3f}", flush=True)
    print("done")


if __name__ == "__main__":
    main()
