"""Botocore's service models: what the sandbox holds requests and answers to."""

from __future__ import annotations

import functools

from botocore.model import ServiceModel, StructureShape

from cloudtune.sandbox.unconfigured import botocore_session


@functools.cache
def service_model(service: str) -> ServiceModel:
    """The model of ``service`` as botocore ships it."""
    return botocore_session().get_service_model(service)


@functools.cache
def input_shape(service: str, operation: str) -> StructureShape | None:
    return service_model(service).operation_model(operation).input_shape


@functools.cache
def output_shape(service: str, operation: str) -> StructureShape | None:
    return service_model(service).operation_model(operation).output_shape
