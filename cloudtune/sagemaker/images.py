"""AWS's own training images, for scripts that name none."""

from __future__ import annotations

from cloudtune.errors import OptionError
from cloudtune.sagemaker.instances import instance_infos

SKLEARN_VERSION = "1.4-2"
PYTORCH_VERSION = "2.6.0"

_SKLEARN_ACCOUNTS = {
    "af-south-1": "510948584623",
    "ap-east-1": "651117190479",
    "ap-northeast-1": "354813040037",
    "ap-northeast-2": "366743142698",
    "ap-northeast-3": "867004704886",
    "ap-south-1": "720646828776",
    "ap-south-2": "628508329040",
    "ap-southeast-1": "121021644041",
    "ap-southeast-2": "783357654285",
    "ap-southeast-3": "951798379941",
    "ap-southeast-4": "106583098589",
    "ca-central-1": "341280168497",
    "ca-west-1": "190319476487",
    "cn-north-1": "450853457545",
    "cn-northwest-1": "451049120500",
    "eu-central-1": "492215442770",
    "eu-central-2": "680994064768",
    "eu-north-1": "662702820516",
    "eu-south-1": "978288397137",
    "eu-south-2": "104374241257",
    "eu-west-1": "141502667606",
    "eu-west-2": "764974769150",
    "eu-west-3": "659782779980",
    "il-central-1": "898809789911",
    "me-central-1": "272398656194",
    "me-south-1": "801668240914",
    "sa-east-1": "737474898029",
    "us-east-1": "683313688378",
    "us-east-2": "257758044811",
    "us-gov-east-1": "237065988967",
    "us-gov-west-1": "414596584902",
    "us-west-1": "746614075791",
    "us-west-2": "246618743249",
}

_DEEP_LEARNING_ACCOUNT = "763104351884"
_DEEP_LEARNING_ACCOUNTS = {
    "af-south-1": "626614931356",
    "ap-east-1": "871362719292",
    "ap-northeast-3": "364406365360",
    "ap-south-2": "772153158452",
    "ap-southeast-3": "907027046896",
    "ap-southeast-4": "457447274322",
    "ca-west-1": "204538143572",
    "cn-north-1": "727897471807",
    "cn-northwest-1": "727897471807",
    "eu-central-2": "380420809688",
    "eu-south-1": "692866216735",
    "eu-south-2": "503227376785",
    "il-central-1": "780543022126",
    "me-central-1": "914824155844",
    "me-south-1": "217643126080",
    "us-gov-east-1": "446045086412",
    "us-gov-west-1": "442386744353",
}


def default_image(region: str, *instance_types: str) -> str:
    """SageMaker's scikit-learn image, or on instances with GPUs the PyTorch one.

    Raises ``OptionError`` if no image is known there, or some of the types have GPUs and others have none.
    """
    infos = instance_infos()
    with_gpu = {name: name in infos and infos[name].num_gpu > 0 for name in instance_types}
    if len(set(with_gpu.values())) > 1:
        raise OptionError(
            f"of {', '.join(with_gpu)} some have GPUs and others have none: no image of SageMaker's own suits all",
            "give image_uri",
        )
    return pytorch_image(region) if any(with_gpu.values()) else sklearn_image(region)


def sklearn_image(region: str, version: str = SKLEARN_VERSION) -> str:
    """CPU, Python 3, scikit-learn, pandas, numpy."""
    account = _SKLEARN_ACCOUNTS.get(region)
    if account is None:
        raise OptionError(f"no scikit-learn image is known for region {region!r}", "give image_uri")
    return f"{_registry(account, region)}/sagemaker-scikit-learn:{version}-cpu-py3"


def pytorch_image(region: str, version: str = PYTORCH_VERSION, python: str = "py312", gpu: bool = True) -> str:
    """AWS Deep Learning Container for training with PyTorch."""
    account = _DEEP_LEARNING_ACCOUNTS.get(region, _DEEP_LEARNING_ACCOUNT)
    return f"{_registry(account, region)}/pytorch-training:{version}-{'gpu' if gpu else 'cpu'}-{python}"


def _registry(account: str, region: str) -> str:
    suffix = ".cn" if region.startswith("cn-") else ""
    return f"{account}.dkr.ecr.{region}.amazonaws.com{suffix}"
