from __future__ import annotations

import pytest

from cloudtune.errors import OptionError
from cloudtune.sagemaker import InstanceInfos, select_instance_type
from cloudtune.sagemaker.images import default_image, pytorch_image
from cloudtune.sagemaker.instances import dollars_per_hour, instance_infos, price_of_resources


def test_an_instance_type_has_cores_gpus_and_a_price() -> None:
    info = InstanceInfos()("ml.m5.xlarge")
    assert (info.name, info.num_cpu, info.num_gpu, info.cost_per_hour) == ("ml.m5.xlarge", 4, 0, 0.23)


def test_the_whole_table_makes_sense() -> None:
    for name, info in instance_infos().items():
        assert name == info.name
        assert name.startswith("ml.")
        assert info.num_cpu > 0
        assert info.cost_per_hour > 0
        assert (info.gpu_memory_gib > 0) <= (info.num_gpu > 0)


def test_types_are_selected_within_all_bounds_cheapest_first() -> None:
    chosen = select_instance_type(min_gpu=1, max_cost_per_hour=5.0)
    assert "ml.g5.xlarge" in chosen
    infos = instance_infos()
    assert all(infos[name].num_gpu >= 1 and infos[name].cost_per_hour <= 5.0 for name in chosen)
    assert [infos[name].cost_per_hour for name in chosen] == sorted(infos[name].cost_per_hour for name in chosen)
    assert all(infos[name].num_gpu == 0 for name in select_instance_type(max_gpu=0))
    assert all(infos[name].cost_per_hour >= 10 for name in select_instance_type(min_cost_per_hour=10))
    assert set(select_instance_type()) == set(infos)


def test_a_job_costs_its_instances_together() -> None:
    assert dollars_per_hour("ml.m5.xlarge", 3) == pytest.approx(0.69)
    assert dollars_per_hour("ml.unheard.of") is None
    groups = [
        {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2},
        {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1},
    ]
    assert price_of_resources({"InstanceGroups": groups}) == pytest.approx(0.46 + 0.204)
    preferences = [{"InstanceType": "ml.m5.xlarge", "InstanceCount": 1}, {"InstanceType": "ml.c5.xlarge"}]
    assert price_of_resources({"InstancePreferences": preferences}) == 0.23
    selected = {"InstancePreferences": preferences, "SelectedInstanceType": "ml.c5.xlarge", "SelectedInstanceCount": 2}
    assert price_of_resources(selected) == pytest.approx(0.408)
    assert price_of_resources({"InstanceGroups": [*groups, {"InstanceType": "ml.unheard.of"}]}) is None


def test_scripts_without_an_image_get_one_of_aws_s_own() -> None:
    assert default_image("us-east-1", "ml.m5.xlarge") == (
        "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.4-2-cpu-py3"
    )
    assert default_image("us-east-1", "ml.g5.xlarge") == pytorch_image("us-east-1")
    assert ".amazonaws.com.cn/" in pytorch_image("cn-north-1")
    with pytest.raises(OptionError, match=r"xx-1.*\n.*image_uri"):
        default_image("xx-1", "ml.m5.xlarge")
