"""Models of an objective over the unit cube: what is expected where, and how sure that is.

The contracts are in ``prediction`` (``Surrogate``, ``Fit``, ``Predictor``) and ``acquisition`` (``Acquisition``,
``Score``). Modules here import scipy; name them where they are used.
"""
