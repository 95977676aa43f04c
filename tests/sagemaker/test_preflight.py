"""Checks before money is spent, where permissions are missing or things are unusual."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from cloudtune.aws import Aws, S3Uri, objects
from cloudtune.errors import AccessDeniedError, NotFoundError, OptionError
from cloudtune.sagemaker import preflight, quotas
from cloudtune.sagemaker.capacity import Instances
from cloudtune.sagemaker.choices import Demand
from cloudtune.sagemaker.layout import default_s3_path, s3_experiment_path
from cloudtune.sagemaker.quotas import workers_available
from cloudtune.sagemaker.role import get_execution_role
from cloudtune.sandbox import Sandbox

ROLE = "arn:aws:iam::111122223333:role/service-role/SageMakerRole"


class Answering(Aws):
    """An account with these answers by operation; an error is raised."""

    def __init__(self, answers: Mapping[str, Any], region: str = "us-east-1") -> None:
        super().__init__(region)
        self.answers: dict[str, Any] = {
            "GetCallerIdentity": {"Account": "111122223333", "Arn": "arn:aws:iam::1:user/me"},
            **answers,
        }
        self.requests: list[tuple[str, dict[str, Any]]] = []

    def call(self, service: str, operation: str, /, **request: Any) -> dict[str, Any]:
        self.requests.append((operation, request))
        answer = self.answers[operation]
        if isinstance(answer, Exception):
            raise answer
        found: dict[str, Any] = answer
        return found


DENIED = AccessDeniedError("not for you", "ask your administrator")
SMALL_AND_LARGE = ("ml.m5.large", "ml.m5.xlarge")


def demand(*instance_types: str, spread: bool = False, spot: bool = False) -> Demand:
    return Demand(tuple((Instances(each, spot=spot),) for each in instance_types), spread)


def test_a_check_that_is_not_permitted_only_warns() -> None:
    aws = Answering({"GetRole": DENIED, "HeadBucket": DENIED, "ListServiceQuotas": DENIED})
    with pytest.warns(UserWarning, match="can't check role"):
        preflight.check_role(aws, ROLE)
    with pytest.warns(UserWarning, match="can't check bucket"):
        preflight.check_bucket(aws, S3Uri("bucket"))
    with pytest.warns(UserWarning, match="can't check the account's quotas"):
        preflight.check_quotas(aws, demand("ml.m5.xlarge"), 4)


def test_a_role_that_sagemaker_may_not_assume_is_warned_about() -> None:
    trust = {"Statement": [{"Principal": {"Service": "ec2.amazonaws.com"}}]}
    aws = Answering({"GetRole": {"Role": {"AssumeRolePolicyDocument": trust}}})
    with pytest.warns(UserWarning, match=r"doesn't trust sagemaker\.amazonaws\.com"):
        preflight.check_role(aws, ROLE)
    assert ("GetRole", {"RoleName": "SageMakerRole"}) in aws.requests


def test_quotas_are_found_by_name_over_all_pages_and_spot_has_its_own() -> None:
    class Paged(Answering):
        def call(self, service: str, operation: str, /, **request: Any) -> dict[str, Any]:
            page = int(request.get("NextToken", 0))
            super().call(service, operation, **request)
            quotas = [
                {"QuotaName": f"ml.m5.xlarge for {kind}training job usage", "Value": 2.0} for kind in ("", "spot ")
            ]
            return {"Quotas": quotas if page == 3 else [], "NextToken": str(page + 1)}

    for spot, name in ((False, "training job usage"), (True, "spot training job usage")):
        aws = Paged({"ListServiceQuotas": {}})
        with pytest.warns(UserWarning, match=f"'ml.m5.xlarge for {name}' is 2"):
            preflight.check_quotas(aws, demand("ml.m5.xlarge", spot=spot), 3)
        assert len(aws.requests) == 4
    preflight.check_quotas(Paged({"ListServiceQuotas": {}}), demand("ml.m5.xlarge"), 2)


def account_with(quotas: Mapping[str, float], jobs: list[dict[str, Any]] | None = None) -> Answering:
    named = [{"QuotaName": f"{name} training job usage", "Value": value} for name, value in quotas.items()]
    results = [{"TrainingJob": job} for job in jobs or []]
    return Answering({"ListServiceQuotas": {"Quotas": named}, "Search": {"Results": results}})


def test_fallbacks_need_room_together_but_tuned_types_each() -> None:
    small = {"ml.m5.large for": 2.0, "ml.m5.xlarge for": 6.0}
    preflight.check_quotas(account_with(small), demand(*SMALL_AND_LARGE), 8)
    with pytest.warns(UserWarning, match=r"9 instances at a time.*'ml\.m5\.large for training job usage' is 2"):
        preflight.check_quotas(account_with(small), demand(*SMALL_AND_LARGE), 9)
    preflight.check_quotas(account_with(small), demand(*SMALL_AND_LARGE, spread=True), 9)
    with pytest.warns(UserWarning, match=r"ml\.m5\.large for training job usage' is 0"):
        none = account_with({"ml.m5.large for": 0.0, "ml.m5.xlarge for": 6.0})
        preflight.check_quotas(none, demand(*SMALL_AND_LARGE, spread=True), 2)


# -- how many workers there is room for ------------------------------------------------------------------


def job(name: str, instance_type: str, count: int = 1, spot: bool = False) -> dict[str, Any]:
    resources = {"InstanceType": instance_type, "InstanceCount": count}
    return {"TrainingJobName": name, "ResourceConfig": resources, "EnableManagedSpotTraining": spot}


@pytest.mark.parametrize(
    ("limits", "needs", "workers"),
    [
        ({"ml.m5.large for": 8}, [Instances("ml.m5.large")], 8),
        ({"ml.m5.large for": 8}, [Instances("ml.m5.large", 3)], 2),
        ({"ml.m5.large for": 8, "ml.m5.large for spot": 4}, [Instances("ml.m5.large", spot=True)], 4),
        ({"ml.m5.large for": 0}, [Instances("ml.m5.large")], 1),
        ({"ml.m5.large for": 5000}, [Instances("ml.m5.large")], quotas.MAX_AUTO_WORKERS),
        ({"ml.p3.2xlarge for": 8}, [Instances("ml.m5.large")], None),
    ],
    ids=["one each", "several each", "spot", "none at all", "very large", "unknown"],
)
def test_as_many_workers_as_the_quota_has_room_for(
    limits: dict[str, float], needs: list[Instances], workers: int | None
) -> None:
    assert workers_available(account_with(limits), "mine", Demand((tuple(needs),))) == workers


def test_what_others_use_is_left_to_them_and_what_is_ours_is_not() -> None:
    jobs = [
        job("theirs-00000-0", "ml.m5.large", 2),
        job("theirs-spot", "ml.m5.large", 3, spot=True),
        job("another-type", "ml.m5.xlarge"),
        job("mine-00000-0", "ml.m5.large"),
        job("mine-2-00000-0", "ml.m5.large"),
    ]
    assert workers_available(account_with({"ml.m5.large for": 8}, jobs), "mine", demand("ml.m5.large")) == 5


def test_several_types_give_room_together_or_the_least_of_them_to_each() -> None:
    aws = account_with({"ml.m5.large for": 2.0, "ml.m5.xlarge for": 6.0})
    assert workers_available(aws, "mine", demand(*SMALL_AND_LARGE)) == 8
    assert workers_available(aws, "mine", demand(*SMALL_AND_LARGE, spread=True)) == 4
    together = Demand(((Instances("ml.m5.large"), Instances("ml.m5.xlarge", 2)),))
    assert workers_available(aws, "mine", together) == 2


def test_quotas_that_cannot_be_read_give_no_number_and_a_search_that_is_not_permitted_does_not_matter() -> None:
    assert workers_available(Answering({"ListServiceQuotas": DENIED}), "mine", demand("ml.m5.large")) is None
    aws = account_with({"ml.m5.large for": 8})
    aws.answers["Search"] = DENIED
    assert workers_available(aws, "mine", demand("ml.m5.large")) == 8


def test_sagemaker_s_own_bucket_is_made_where_it_is_missing(account: Sandbox) -> None:
    aws = Aws("eu-west-1")
    place = default_s3_path(aws)
    assert str(place) == f"s3://sagemaker-eu-west-1-{account.address.account_id}/cloudtune"
    assert not objects.bucket_exists(aws, place.bucket)
    preflight.check_bucket(aws, place)
    assert objects.bucket_exists(aws, place.bucket)
    assert s3_experiment_path("exp", aws=aws) == f"{place}/exp/"
    assert s3_experiment_path("exp", "s3://bucket/mine/") == "s3://bucket/mine/exp/"


# -- which role ---------------------------------------------------------------------------------------


def role(name: str, service: str, created: str = "2026-01-01") -> dict[str, Any]:
    trust = {"Statement": [{"Principal": {"Service": service}}]}
    return {
        "RoleName": name,
        "Arn": f"arn:aws:iam::111122223333:role/{name}",
        "AssumeRolePolicyDocument": trust,
        "CreateDate": created,
    }


def test_the_role_is_the_newest_of_those_that_sagemaker_made() -> None:
    roles = [
        role("lambda", "lambda.amazonaws.com", "2027-01-01"),
        role("mine", "sagemaker.amazonaws.com", "2027-01-01"),
        role("AmazonSageMaker-ExecutionRole-1", "sagemaker.amazonaws.com", "2025-01-01"),
        role("AmazonSageMaker-ExecutionRole-2", "sagemaker.amazonaws.com", "2026-01-01"),
    ]
    assert get_execution_role(Answering({"ListRoles": {"Roles": roles}})).endswith("/AmazonSageMaker-ExecutionRole-2")
    assert get_execution_role(Answering({"ListRoles": {"Roles": roles[:2]}})).endswith("/mine")


def test_without_any_role_the_hint_says_how_to_give_one() -> None:
    with pytest.raises(OptionError, match="AWS_ROLE"):
        get_execution_role(Answering({"ListRoles": {"Roles": []}}))
    with pytest.raises(AccessDeniedError, match="AWS_ROLE"):
        get_execution_role(Answering({"ListRoles": DENIED}))


def test_the_environment_names_the_role_by_arn_or_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ROLE", ROLE)
    assert get_execution_role(Answering({})) == ROLE
    monkeypatch.setenv("CLOUDTUNE_ROLE", "service-role/SageMakerRole")
    assert get_execution_role(Answering({"GetRole": {"Role": {"Arn": ROLE}}})) == ROLE
    with pytest.raises(OptionError, match="doesn't exist"):
        get_execution_role(Answering({"GetRole": NotFoundError("none")}))


def test_inside_a_job_it_is_the_job_s_own() -> None:
    caller = {"Account": "1", "Arn": "arn:aws:sts::1:assumed-role/AmazonSageMaker-ExecutionRole-7/SageMaker"}
    aws = Answering({"GetCallerIdentity": caller, "GetRole": {"Role": {"Arn": ROLE}}})
    assert get_execution_role(aws) == ROLE
    assert ("GetRole", {"RoleName": "AmazonSageMaker-ExecutionRole-7"}) in aws.requests
