"""The cloudtune command."""
