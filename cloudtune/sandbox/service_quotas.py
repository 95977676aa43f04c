"""Service Quotas for SageMaker: the limits this sandbox really applies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudtune.sandbox import tokens
from cloudtune.sandbox.aws_error import AwsError
from cloudtune.sandbox.calls import Call
from cloudtune.sandbox.model import input_shape
from cloudtune.sandbox.replies import Reply, json_reply
from cloudtune.sandbox.training.instances import RATES, Quotas, quota_code
from cloudtune.sandbox.validation import validate

SERVICE = "sagemaker"
_LISTS = ("ListServiceQuotas", "ListAWSDefaultServiceQuotas")
_GETS = ("GetServiceQuota", "GetAWSDefaultServiceQuota")


class ServiceQuotasResponder:
    """Answers for ServiceCode ``sagemaker``; other services are moto's."""

    def __init__(self, quotas: Quotas, region: str, account_id: str) -> None:
        self._arn_prefix = f"arn:aws:servicequotas:{region}:{account_id}:{SERVICE}/"
        self._entries = [self._entry(name, value) for name, value in sorted(quotas.all().items())]
        self._by_code = {entry["QuotaCode"]: entry for entry in self._entries}

    def __call__(self, call: Call) -> Reply | None:
        if call.operation not in _LISTS + _GETS:
            return None
        request = call.json()
        if not isinstance(request, dict) or request.get("ServiceCode") != SERVICE:
            return None
        validate(request, input_shape("service-quotas", call.operation), "IllegalArgumentException")
        return json_reply(self._list(request) if call.operation in _LISTS else self._get(request))

    def _entry(self, name: str, value: int) -> dict[str, Any]:
        code = quota_code(name)
        return {
            "ServiceCode": SERVICE,
            "ServiceName": "Amazon SageMaker",
            "QuotaArn": self._arn_prefix + code,
            "QuotaCode": code,
            "QuotaName": name,
            "Value": float(value),
            "Unit": "None",
            "Adjustable": name not in RATES,
            "GlobalQuota": False,
        }

    def _list(self, request: Mapping[str, Any]) -> dict[str, Any]:
        entries = self._entries
        if "QuotaCode" in request:
            entries = [entry for entry in entries if entry["QuotaCode"] == request["QuotaCode"]]
        try:
            start = tokens.offset(request.get("NextToken"))
        except ValueError as error:
            raise AwsError("InvalidPaginationTokenException", "Invalid pagination token.") from error
        end = start + int(request.get("MaxResults", 100))
        answer: dict[str, Any] = {"Quotas": entries[start:end]}
        return answer if end >= len(entries) else {**answer, "NextToken": tokens.encode(end)}

    def _get(self, request: Mapping[str, Any]) -> dict[str, Any]:
        found = self._by_code.get(request["QuotaCode"])
        if found is None:
            raise AwsError(
                "NoSuchResourceException",
                "The request failed because the specified service quota does not exist or is not available.",
            )
        return {"Quota": found}
