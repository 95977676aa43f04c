"""Training jobs: what they are, what may be asked of them, and what executes them."""
