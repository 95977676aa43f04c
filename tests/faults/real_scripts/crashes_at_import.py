"""Never gets as far as its first line."""

import frobnicate  # type: ignore[import-not-found]  # there is none

frobnicate.train()
