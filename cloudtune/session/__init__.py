"""One process's run of an experiment."""
