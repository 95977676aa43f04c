"""The script that ``PythonBackend`` runs: loads the function, once its digest is right, and calls it.

``python run_function.py {payload} {sha256} --st_config_json_filename {file} --st_checkpoint_dir {folder}``
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("payload", type=Path)
    parser.add_argument("sha256")
    parser.add_argument("--st_config_json_filename", type=Path, required=True)
    parser.add_argument("--st_checkpoint_dir", required=True)
    args = parser.parse_args()
    sys.path[0] = str(Path.cwd())  # not this file's folder: its modules have names that others may have too

    content = args.payload.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != args.sha256:
        sys.exit(f"{args.payload} has SHA-256 {digest}, not {args.sha256} as its attempt says; nothing was loaded")

    import dill

    function = dill.loads(content)
    config = {
        **json.loads(args.st_config_json_filename.read_text()),
        "st_checkpoint_dir": args.st_checkpoint_dir,
    }
    parameters = inspect.signature(function).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    function(**{name: value for name, value in config.items() if takes_all or name in parameters})


if __name__ == "__main__":
    main()
