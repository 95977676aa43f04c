"""Blackboxes by name: on this machine, else in S3, else made by their recipe."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cloudtune.benchmarks.blackbox import Blackbox
from cloudtune.benchmarks.files import INDEX_FILE, chosen, deserialize, index_of, serialize
from cloudtune.benchmarks.recipes.recipe import FunctionRecipe, TableRecipe
from cloudtune.benchmarks.tabular import BlackboxTabular
from cloudtune.errors import CloudtuneError, OptionError
from cloudtune.options import nearest_name
from cloudtune.paths import experiment_path

if TYPE_CHECKING:
    from cloudtune.aws import Aws, S3Uri

logger = logging.getLogger("cloudtune.benchmarks")

REPOSITORY_FOLDER = "blackbox-repository"


def repository_path() -> Path:
    """The folder of all blackboxes, beside those of experiments (CLOUDTUNE_FOLDER, else ``~/cloudtune``)."""
    return experiment_path() / REPOSITORY_FOLDER


def blackbox_local_path(name: str) -> Path:
    """The folder of one blackbox on this machine, whether or not it is there."""
    return repository_path() / name


def blackbox_list() -> list[str]:
    """The names that ``load_blackbox`` knows: all recipes, and what else lies in the repository."""
    stored = [path.parent.name for path in repository_path().glob(f"*/{INDEX_FILE}")]
    return sorted({*_recipes(), *stored})


def load_blackbox(
    name: str,
    skip_if_present: bool = True,
    s3_root: str | None = None,
    generate_if_not_found: bool = True,
    dataset: str | None = None,
) -> dict[str, Blackbox]:
    """A blackbox's data sets by name; ``dataset``: only that one.

    From this machine if it is there and ``skip_if_present``; else from ``s3_root`` (default: ``blackbox-repository/``
    in the account's SageMaker bucket, if there is an account); else its recipe makes it, and it is kept on this
    machine, and under ``s3_root`` if that is given. What functions compute is never stored.

    Raises ``OptionError`` for a name or data set that isn't known, ``UserError`` if its recipe lacks files or packages.
    """
    recipe = _recipes().get(name)
    if isinstance(recipe, FunctionRecipe):
        return _picked(recipe.make(), name, dataset)
    folder = blackbox_local_path(name)
    present = (folder / INDEX_FILE).is_file()
    if not (present and skip_if_present) and not _download(name, s3_root) and not present:
        if recipe is None:
            raise OptionError(
                f"no blackbox {name!r} in {folder.parent}, nor in S3", nearest_name(name, blackbox_list())
            )
        if not generate_if_not_found:
            raise OptionError(f"no blackbox {name!r} in {folder.parent}, nor in S3", "generate_if_not_found makes it")
        _generate(recipe, s3_root)
    found: Mapping[str, Blackbox] = deserialize(folder, dataset)
    return dict(found)


def _picked(blackboxes: Mapping[str, Blackbox], name: str, dataset: str | None) -> dict[str, Blackbox]:
    return dict(blackboxes) if dataset is None else {dataset: chosen(blackboxes, name, dataset)}


def save_blackbox(
    name: str, blackboxes: Mapping[str, BlackboxTabular], s3_root: str | None = None, cite: str = ""
) -> Path:
    """Keep tables of your own under a name, on this machine, and under ``s3_root`` if that is given."""
    folder = blackbox_local_path(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder.parent))
    serialize(blackboxes, draft, {"name": name, "cite": cite})
    _install(draft, folder)
    if s3_root is not None:
        upload_blackbox(name, s3_root)
    return folder


def upload_blackbox(name: str, s3_root: str | None = None) -> str:
    """Copy a blackbox from this machine to S3; where it is then. The page that makes it complete comes last."""
    from cloudtune.aws import objects as s3

    folder = blackbox_local_path(name)
    index_of(folder)
    aws, target = _place(name, s3_root)
    for path in sorted(folder.iterdir(), key=lambda path: path.name == INDEX_FILE):
        s3.put(aws, target / path.name, path.read_bytes())
    return str(target)


def _download(name: str, s3_root: str | None) -> bool:
    """Whether S3 had it. What can't be looked at is not there, unless it was named."""
    from cloudtune.aws import objects as s3

    try:
        aws, source = _place(name, s3_root)
        stored = s3.listed_flat(aws, source)
        if not any(each.uri.name == INDEX_FILE for each in stored):
            return False
        folder = blackbox_local_path(name)
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder.parent))
        for each in stored:
            (draft / each.uri.name).write_bytes(s3.get(aws, each.uri))
    except CloudtuneError as error:
        if s3_root is not None:
            raise
        logger.info("S3 could not be looked at for the blackbox %s: %s", name, error.message)
        return False
    _install(draft, folder)
    return True


def _generate(recipe: TableRecipe, s3_root: str | None) -> None:
    logger.info("making the blackbox %s: %s", recipe.name, recipe.summary)
    if recipe.cite:
        logger.info("please cite %s", recipe.cite)
    save_blackbox(recipe.name, recipe.generate(), s3_root, recipe.cite)


def _place(name: str, s3_root: str | None) -> tuple[Aws, S3Uri]:
    from cloudtune.aws import Aws, S3Uri

    aws = Aws(attempts=1) if s3_root is None else Aws()
    root = (
        S3Uri(f"sagemaker-{aws.region}-{aws.account}", REPOSITORY_FOLDER) if s3_root is None else S3Uri.parse(s3_root)
    )
    return aws, root / name


def _install(draft: Path, folder: Path) -> None:
    """The new folder takes the place of an old one."""
    if folder.exists():
        shutil.rmtree(folder)
    draft.replace(folder)


def _recipes() -> dict[str, TableRecipe | FunctionRecipe]:
    from cloudtune.benchmarks.recipes import RECIPES

    return RECIPES
