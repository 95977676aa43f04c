"""First file to run in a remote tuner's job: sees to it that the image can run cloudtune, then runs it.

Standard library only, and old syntax: it has to say what is wrong with any image.
"""

import importlib.util
import os
import sys
from pathlib import Path

NEEDED = ("boto3", "dill", "numpy", "pandas", "rich", "scipy")


def fail(message: str) -> None:
    """End the job with a reason that the service shows."""
    print(message, file=sys.stderr)
    folder = Path(os.environ.get("SM_OUTPUT_DIR", "/opt/ml/output"))
    if folder.is_dir():
        (folder / "failure").write_text(message)
    sys.exit(1)


def main() -> None:
    here = str(Path(__file__).resolve().parent)
    if sys.version_info < (3, 10):
        fail(f"this image has Python {sys.version.split()[0]}; the tuner needs 3.10: choose another image_uri")
    sys.path.insert(0, here)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        fail(
            f"this image lacks {', '.join(missing)}. It must have what requirements.txt names, or pip and a way to a "
            "package index: choose another image_uri, or a network (subnets) that has one"
        )
    from cloudtune.remote.main import main as run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
