#!/bin/sh
# Makes the environment that test_toolkit.py compares with: SageMaker's own training toolkit.
# It is compiled when it is installed: without a C compiler or Python's headers nothing is made, and that test is skipped.
# usage: make_toolkit_env.sh DIRECTORY [PYTHON]
set -eu
directory=$1
python=${2:-python3}
[ -x "$directory/bin/train" ] && exit 0
if ! missing=$("$python" - <<'PYTHON'
import os, shutil, sys, sysconfig

compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
needed = {f"a C compiler ({compiler})": shutil.which(compiler), header: os.path.exists(header)}
missing = [name for name, found in needed.items() if not found]
print(*missing, sep=" and ")
sys.exit(bool(missing))
PYTHON
); then
    [ -n "$missing" ] || exit 1
    echo "no sagemaker-training toolkit, so what is compared with it is not tested: it needs $missing" >&2
    exit 0
fi
"$python" -m venv "$directory"
"$directory/bin/python" -m pip install --quiet "sagemaker-training==5.1.4" "setuptools<81" wheel
