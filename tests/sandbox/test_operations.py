"""Update, delete, tags, quotas, warm pools: what else one does with training jobs."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from cloudtune.sandbox import Delays, Sandbox
from tests.sandbox.support import client, create, describe, path_of, wait_for, wait_for_end, wait_for_line

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
POOL = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1, "KeepAlivePeriodInSeconds": 600}
POOL_QUOTA = {"ml.m5.large for training warm pool usage": 5}


def test_a_finished_job_can_be_deleted_and_its_name_used_again(shared: Sandbox) -> None:
    sagemaker = client(shared, "sagemaker")
    create(shared, "again", "raise SystemExit(1)")
    wait_for_end(shared, "again")
    sagemaker.delete_training_job(TrainingJobName="again")
    with pytest.raises(ClientError, match="Requested resource not found"):
        describe(shared, "again")
    create(shared, "again")
    assert wait_for_end(shared, "again")["TrainingJobStatus"] == "Completed"


def test_a_running_job_can_not_be_deleted(shared: Sandbox) -> None:
    sagemaker = client(shared, "sagemaker")
    create(shared, "busy", SLEEP)
    wait_for_line(shared, "busy", "up")
    with pytest.raises(ClientError, match="ResourceInUse"):
        sagemaker.delete_training_job(TrainingJobName="busy")
    sagemaker.stop_training_job(TrainingJobName="busy")
    wait_for_end(shared, "busy")


def test_tags_are_added_overwritten_and_deleted(shared: Sandbox) -> None:
    sagemaker = client(shared, "sagemaker")
    arn = create(shared, "tagged", Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "b", "Value": "3"}, {"Key": "c", "Value": "4"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a", "unknown"])
    tags = sagemaker.list_tags(ResourceArn=arn)["Tags"]
    assert tags == [{"Key": "b", "Value": "3"}, {"Key": "c", "Value": "4"}]


def test_a_job_has_at_most_fifty_tags(shared: Sandbox) -> None:
    arn = create(shared, "fifty", Tags=[{"Key": str(number), "Value": ""} for number in range(50)])
    sagemaker = client(shared, "sagemaker")
    with pytest.raises(ClientError, match="ResourceLimitExceeded"):
        sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "more", "Value": ""}])
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "7", "Value": "new"}])
    assert len(sagemaker.list_tags(ResourceArn=arn)["Tags"]) == 50


def test_tags_of_an_unknown_job_are_refused(shared: Sandbox) -> None:
    arn = f"arn:aws:sagemaker:us-east-1:{shared.address.account_id}:training-job/unheard-of"
    with pytest.raises(ClientError, match="Could not find training job"):
        client(shared, "sagemaker").list_tags(ResourceArn=arn)


def test_a_quota_refuses_what_exceeds_it_in_the_services_words() -> None:
    with Sandbox(quotas={"ml.m5.large": 1, "ml.g5.2xlarge": 0}) as sandbox:
        create(sandbox, "first", SLEEP)
        wait_for_line(sandbox, "first", "up")
        with pytest.raises(ClientError) as caught:
            create(sandbox, "second")
        assert caught.value.response["Error"]["Code"] == "ResourceLimitExceeded"
        assert (
            "The account-level service limit 'ml.m5.large for training job usage' is 1 Instances, with current "
            "utilization of 1 Instances and a request delta of 1 Instances."
        ) in str(caught.value)
        with pytest.raises(ClientError, match=r"'ml\.g5.2xlarge for training job usage' is 0 Instances"):
            create(sandbox, "gpu", ResourceConfig={"InstanceType": "ml.g5.2xlarge"})
        client(sandbox, "sagemaker").stop_training_job(TrainingJobName="first")
        wait_for_end(sandbox, "first")
        create(sandbox, "second")
        assert wait_for_end(sandbox, "second")["TrainingJobStatus"] == "Completed"


def test_a_stopping_job_still_counts() -> None:
    with Sandbox(quotas={"ml.m5.large": 1}, delays=Delays(stopping=600)) as sandbox:
        create(sandbox, "first", SLEEP)
        wait_for_line(sandbox, "first", "up")
        client(sandbox, "sagemaker").stop_training_job(TrainingJobName="first")
        assert describe(sandbox, "first")["TrainingJobStatus"] == "Stopping"
        with pytest.raises(ClientError, match="ResourceLimitExceeded"):
            create(sandbox, "second")


def test_every_instance_of_a_job_counts() -> None:
    with Sandbox(quotas={"ml.m5.large": 3}) as sandbox:
        create(sandbox, "two", SLEEP, ResourceConfig={"InstanceCount": 2})
        with pytest.raises(ClientError, match="utilization of 2 Instances and a request delta of 2 Instances"):
            create(sandbox, "two-more", ResourceConfig={"InstanceCount": 2})


def test_spot_has_its_own_quota() -> None:
    spot: dict[str, Any] = {"EnableManagedSpotTraining": True, "StoppingCondition": {"MaxWaitTimeInSeconds": 700}}
    with Sandbox(quotas={"ml.m5.large": 0, "ml.m5.large for spot training job usage": 1}) as sandbox:
        create(sandbox, "spot", SLEEP, **spot)
        with pytest.raises(ClientError, match=r"'ml\.m5.large for spot training job usage' is 1 Instances"):
            create(sandbox, "spot-2", **spot)


def test_service_quotas_tell_the_limits_that_are_applied() -> None:
    with Sandbox(quotas={"ml.p4d.24xlarge": 2, "Rate of ListTrainingJobs requests": 5}) as sandbox:
        quotas = client(sandbox, "service-quotas")
        pages = quotas.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
        listed = {entry["QuotaName"]: entry for page in pages for entry in page["Quotas"]}
        assert listed["ml.p4d.24xlarge for training job usage"]["Value"] == 2.0
        assert listed["ml.p4d.24xlarge for training warm pool usage"]["Value"] == 0.0
        assert listed["Rate of ListTrainingJobs requests"]["Value"] == 5.0
        assert listed["Rate of ListTrainingJobs requests"]["Adjustable"] is False
        code = listed["Rate of CreateTrainingJob requests"]["QuotaCode"]
        assert code == "L-21A1652A"
        one = quotas.get_service_quota(ServiceCode="sagemaker", QuotaCode=code)["Quota"]
        assert one["QuotaName"] == "Rate of CreateTrainingJob requests"
        with pytest.raises(ClientError, match="NoSuchResourceException"):
            quotas.get_service_quota(ServiceCode="sagemaker", QuotaCode="L-00000000")


def test_iam_allows_what_sdks_ask_for(shared: Sandbox) -> None:
    iam = client(shared, "iam")
    actions = ["s3:GetObject", "sagemaker:CreateTrainingJob"]
    answer = iam.simulate_principal_policy(PolicySourceArn=shared.role_arn, ActionNames=actions)
    assert [entry["EvalActionName"] for entry in answer["EvaluationResults"]] == actions
    assert {entry["EvalDecision"] for entry in answer["EvaluationResults"]} == {"allowed"}


def test_aws_managed_policies_can_be_attached(shared: Sandbox) -> None:
    iam = client(shared, "iam")
    role = shared.role_arn.rpartition("/")[2]
    arns = [
        "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess",
        "arn:aws:iam::aws:policy/service-role/AmazonSageMakerSomething",
    ]
    for arn in arns:
        iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    assert [policy["PolicyArn"] for policy in attached] == arns


def test_the_role_exists_and_trusts_sagemaker(shared: Sandbox) -> None:
    role = client(shared, "iam").get_role(RoleName=shared.role_arn.rpartition("/")[2])["Role"]
    assert role["Arn"] == shared.role_arn
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"]["Service"] == "sagemaker.amazonaws.com"


def test_without_a_quota_no_pool_is_kept(shared: Sandbox) -> None:
    create(shared, "no-pool", ResourceConfig=POOL)
    assert wait_for_end(shared, "no-pool")["WarmPoolStatus"] == {"Status": "Terminated"}


def test_a_matching_job_takes_over_the_instances_and_starts_warm() -> None:
    with Sandbox(quotas=POOL_QUOTA, delays=Delays(starting_warm=600)) as sandbox:
        create(sandbox, "first", ResourceConfig=POOL)
        wait_for_end(sandbox, "first")
        pool = describe(sandbox, "first")["WarmPoolStatus"]
        assert pool["Status"] == "Available"
        assert "ResourceRetainedBillableTimeInSeconds" in pool
        create(sandbox, "bigger", ResourceConfig={**POOL, "VolumeSizeInGB": 2})
        assert wait_for_end(sandbox, "bigger")["TrainingJobStatus"] == "Completed"
        create(sandbox, "second", ResourceConfig=POOL)
        pool = describe(sandbox, "first")["WarmPoolStatus"]
        assert (pool["Status"], pool["ReusedByJob"]) == ("Reused", "second")
        # only a warm start waits this long here
        assert path_of(describe(sandbox, "second")) == ["Starting"]
        listed = client(sandbox, "sagemaker").list_training_jobs(WarmPoolStatusEquals="InUse")
        assert [job["TrainingJobName"] for job in listed["TrainingJobSummaries"]] == ["second"]


def test_an_update_to_zero_lets_the_instances_go() -> None:
    with Sandbox(quotas=POOL_QUOTA) as sandbox:
        sagemaker = client(sandbox, "sagemaker")
        create(sandbox, "pooled", ResourceConfig=POOL)
        wait_for_end(sandbox, "pooled")
        with pytest.raises(ClientError, match="ResourceInUse"):
            sagemaker.delete_training_job(TrainingJobName="pooled")
        sagemaker.update_training_job(TrainingJobName="pooled", ResourceConfig={"KeepAlivePeriodInSeconds": 0})
        assert describe(sandbox, "pooled")["WarmPoolStatus"]["Status"] == "Terminated"
        assert describe(sandbox, "pooled")["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 0
        sagemaker.delete_training_job(TrainingJobName="pooled")


def test_a_pool_ends_when_its_time_is_over() -> None:
    with Sandbox(quotas=POOL_QUOTA) as sandbox:
        create(sandbox, "short", ResourceConfig={**POOL, "KeepAlivePeriodInSeconds": 1})
        wait_for_end(sandbox, "short")
        wait_for(lambda: describe(sandbox, "short")["WarmPoolStatus"]["Status"] == "Terminated", "the pool's end")
        assert describe(sandbox, "short")["WarmPoolStatus"]["ResourceRetainedBillableTimeInSeconds"] == 1


def test_a_finished_job_without_a_pool_can_not_be_updated(shared: Sandbox) -> None:
    create(shared, "done")
    wait_for_end(shared, "done")
    with pytest.raises(ClientError, match="rejected because the training job is in status Completed"):
        client(shared, "sagemaker").update_training_job(
            TrainingJobName="done", ResourceConfig={"KeepAlivePeriodInSeconds": 0}
        )
