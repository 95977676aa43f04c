"""The backends that users make: trials out of blackboxes, in simulated time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudtune.backends.simulator import SimulatorBackend, SimulatorClock, SimulatorConfig
from cloudtune.benchmarks.blackbox import Blackbox
from cloudtune.benchmarks.files import chosen
from cloudtune.benchmarks.repository import load_blackbox
from cloudtune.benchmarks.simulated import curves_of
from cloudtune.benchmarks.surrogate import Regressor, add_surrogate, make_surrogate
from cloudtune.errors import OptionError
from cloudtune.options import check_kind, named_options, nearest_name


@named_options({"tuner_sleep_time": "it is sleep_time of the Tuner, in simulated seconds"})
class UserBlackboxBackend(SimulatorBackend):
    """Trials out of a blackbox, in simulated time. ``blackbox`` is kept as an attribute.

    ``elapsed_time_attr``: the objective that has the seconds from the beginning of training to each fidelity. Reports
    carry under that name the seconds since the attempt began: after a pause, since it was resumed. The resource is the
    blackbox's fidelity. The rest is documented at ``SimulatorBackend``.
    """

    def __init__(
        self,
        blackbox: Blackbox,
        elapsed_time_attr: str,
        max_resource_attr: str | None = None,
        seed: int | None = None,
        support_checkpointing: bool = True,
        simulator_config: SimulatorConfig | None = None,
        time_this_resource_attr: str | None = None,
        charge_tuner_time: bool = False,
        random_seed: int = 0,
        delete_checkpoints: bool = False,
        name: str | None = None,
    ) -> None:
        check_kind("blackbox", blackbox, Blackbox, "load_blackbox(…)[dataset], or a BlackboxTabular")
        super().__init__(
            curves_of(blackbox, elapsed_time_attr),
            blackbox.fidelity_name(),
            elapsed_time_attr,
            max_resource_attr,
            seed,
            support_checkpointing,
            simulator_config,
            time_this_resource_attr,
            charge_tuner_time,
            random_seed,
            delete_checkpoints,
            name or "blackbox",
        )
        self.blackbox = blackbox


@named_options({"tuner_sleep_time": "it is sleep_time of the Tuner, in simulated seconds"})
class BlackboxRepositoryBackend(UserBlackboxBackend):
    """Trials out of a blackbox that ``load_blackbox`` knows by name, in simulated time.

    ``dataset``: which of the blackbox's; needed if it has several. ``surrogate``: name of a scikit-learn regressor, or
    such a regressor, that fills in configurations which were not evaluated, with ``surrogate_kwargs`` for it and
    ``add_surrogate_kwargs`` for ``add_surrogate`` (``predict_curves``, ``separate_seeds``, ``fit_differences``,
    ``max_fit_samples``). ``config_space_surrogate``: the space it then covers; default: the blackbox's.
    ``s3_root``: as of ``load_blackbox``. The rest is documented at ``UserBlackboxBackend``.
    """

    def __init__(
        self,
        blackbox_name: str,
        elapsed_time_attr: str,
        max_resource_attr: str | None = None,
        seed: int | None = None,
        support_checkpointing: bool = True,
        dataset: str | None = None,
        surrogate: str | Regressor | None = None,
        surrogate_kwargs: Mapping[str, Any] | None = None,
        add_surrogate_kwargs: Mapping[str, Any] | None = None,
        config_space_surrogate: Mapping[str, Any] | None = None,
        simulator_config: SimulatorConfig | None = None,
        time_this_resource_attr: str | None = None,
        charge_tuner_time: bool = False,
        random_seed: int = 0,
        delete_checkpoints: bool = False,
        s3_root: str | None = None,
    ) -> None:
        blackbox = chosen(load_blackbox(blackbox_name, s3_root=s3_root, dataset=dataset), blackbox_name, dataset)
        if surrogate is not None or config_space_surrogate is not None:
            blackbox = _with_surrogate(
                blackbox, surrogate, surrogate_kwargs or {}, add_surrogate_kwargs or {}, config_space_surrogate
            )
        elif surrogate_kwargs or add_surrogate_kwargs:
            raise OptionError("surrogate_kwargs and add_surrogate_kwargs are for a surrogate", "name one: surrogate=…")
        super().__init__(
            blackbox,
            elapsed_time_attr,
            max_resource_attr,
            seed,
            support_checkpointing,
            simulator_config,
            time_this_resource_attr,
            charge_tuner_time,
            random_seed,
            delete_checkpoints,
            blackbox_name if dataset is None else f"{blackbox_name}-{dataset}",
        )
        self._made_of: dict[str, Any] = {
            "blackbox_name": blackbox_name,
            "elapsed_time_attr": elapsed_time_attr,
            "max_resource_attr": max_resource_attr,
            "seed": seed,
            "support_checkpointing": support_checkpointing,
            "dataset": dataset,
            "surrogate": surrogate,
            "surrogate_kwargs": surrogate_kwargs,
            "add_surrogate_kwargs": add_surrogate_kwargs,
            "config_space_surrogate": config_space_surrogate,
            "simulator_config": simulator_config,
            "time_this_resource_attr": time_this_resource_attr,
            "charge_tuner_time": charge_tuner_time,
            "random_seed": random_seed,
            "delete_checkpoints": delete_checkpoints,
            "s3_root": s3_root,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        # a saved tuner names its blackbox: tables are large, and lie where they lie
        return _made_again, (self._made_of, self.clock)


def _made_again(made_of: dict[str, Any], clock: SimulatorClock) -> BlackboxRepositoryBackend:
    backend = BlackboxRepositoryBackend(**made_of)
    backend.clock = clock
    return backend


_SURROGATE_OPTIONS = ("predict_curves", "separate_seeds", "fit_differences", "max_fit_samples")


def _with_surrogate(
    blackbox: Blackbox,
    surrogate: str | Regressor | None,
    surrogate_kwargs: Mapping[str, Any],
    options: Mapping[str, Any],
    space: Mapping[str, Any] | None,
) -> Blackbox:
    for name in options:
        if name not in _SURROGATE_OPTIONS:
            raise OptionError(f"add_surrogate_kwargs has {name!r}", nearest_name(name, _SURROGATE_OPTIONS))
    return add_surrogate(blackbox, make_surrogate(surrogate, surrogate_kwargs), space, **options)
