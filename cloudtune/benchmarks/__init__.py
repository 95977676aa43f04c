"""Tabulated, fitted and computed blackboxes, and their place in the simulator."""
