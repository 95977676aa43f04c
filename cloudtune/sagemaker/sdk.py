"""Requests out of the SageMaker SDKs' objects, without sending them. No SDK is imported unless its object is here."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from cloudtune.errors import OptionError


def is_estimator(given: Any) -> bool:
    """Whether it is an estimator of SDK 2."""
    return hasattr(given, "fit") and hasattr(given, "sagemaker_session") and hasattr(given, "hyperparameters")


def is_model_trainer(given: Any) -> bool:
    """Whether it is a ModelTrainer of SDK 3."""
    return hasattr(given, "train") and hasattr(given, "source_code") and hasattr(given, "training_image")


def request_of_estimator(estimator: Any, inputs: Any = None) -> dict[str, Any]:
    """What ``estimator.fit(inputs)`` of SDK 2 would send; uploads its source once.

    Raises ``OptionError`` if it is no estimator.
    """
    if not is_estimator(estimator):
        raise OptionError(f"{type(estimator).__name__} is no estimator of the SageMaker SDK 2")
    jobs = importlib.import_module("sagemaker.estimator")._TrainingJob
    prepare = _first_of(estimator, "prepare_workflow_for_training", "_prepare_for_training")
    arguments_of = _first_of(jobs, "get_train_args", "_get_train_args")
    request_of = _first_of(estimator.sagemaker_session, "get_train_request", "_get_train_request")
    if prepare is None or arguments_of is None or request_of is None:
        return _intercepted(estimator.sagemaker_session, lambda: estimator.fit(inputs, wait=False))
    prepare(None)
    return dict(request_of(**arguments_of(estimator, inputs, experiment_config={})))


def request_of_model_trainer(trainer: Any, input_data_config: Any = None) -> dict[str, Any]:
    """What ``trainer.train(input_data_config)`` of SDK 3 would send; uploads its source once.

    Raises ``OptionError`` if it is no ModelTrainer.
    """
    if not is_model_trainer(trainer):
        raise OptionError(f"{type(trainer).__name__} is no ModelTrainer of the SageMaker SDK 3")
    build = _first_of(trainer, "_create_training_job_args")
    if build is None or "boto3" not in inspect.signature(build).parameters:
        return _intercepted(
            trainer.sagemaker_session,
            lambda: trainer.train(input_data_config=input_data_config, wait=False, logs=False),
        )
    return dict(build(input_data_config=input_data_config, boto3=True))


def _first_of(owner: Any, *names: str) -> Callable[..., Any] | None:
    return next((getattr(owner, name) for name in names if hasattr(owner, name)), None)


class _CapturedError(Exception):
    """Ends a launch whose request we have."""


def _intercepted(session: Any, launch: Callable[[], Any]) -> dict[str, Any]:
    """The CreateTrainingJob request that ``launch`` makes, whichever way; it is not sent."""
    with _listening(session) as requests, suppress(_CapturedError):
        launch()
    if not requests:
        raise OptionError("the SDK sent no CreateTrainingJob request", "give its request as a dict instead")
    return dict(requests[0])


@contextmanager
def _listening(session: Any) -> Iterator[list[Mapping[str, Any]]]:
    requests: list[Mapping[str, Any]] = []

    def capture(params: Mapping[str, Any], **_: Any) -> None:
        requests.append(dict(params))
        raise _CapturedError

    event = "provide-client-params.sagemaker.CreateTrainingJob"
    # a client made before has listeners of its own
    emitters = [session.boto_session.events, session.sagemaker_client.meta.events]
    for emitter in emitters:
        emitter.register(event, capture)
    try:
        yield requests
    finally:
        for emitter in emitters:
            emitter.unregister(event, capture)
