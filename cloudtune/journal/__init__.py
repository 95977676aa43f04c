"""The append-only record of an experiment: typed events, stores, replay."""
