"""What may watch the tuner."""

from cloudtune.callbacks.base import TunerCallback
from cloudtune.callbacks.store_results import ExtraResultsComposer, StoreResultsCallback

__all__ = ["TunerCallback", "StoreResultsCallback", "ExtraResultsComposer"]
