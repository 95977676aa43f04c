"""The AWS session of someone who has configured nothing: what the sandbox itself uses.

A profile, a configuration file or a proxy that a user has for real AWS must neither redirect the sandbox's own clients
nor, where they name something that doesn't exist, keep it from starting.
"""

from __future__ import annotations

import functools
import os

import botocore.loaders
import botocore.session

_VARIABLES = {
    # logical name -> (name in the configuration file, environment variable, default, conversion)
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


def botocore_session() -> botocore.session.Session:
    return botocore.session.Session(session_vars=_VARIABLES)


def client_session() -> botocore.session.Session:
    """One to make clients with. The services' models are read once per process: that takes longer than most of what a
    sandbox does. Clients change them, so nobody else should look at these.
    """
    session = botocore_session()
    session.register_component("data_loader", _loader())
    return session


@functools.cache
def _loader() -> botocore.loaders.Loader:
    return botocore.loaders.create_loader()
