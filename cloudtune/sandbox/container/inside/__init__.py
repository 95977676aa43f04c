"""What runs in processes of its own: the keeper of a job's processes, and the runner of script mode.

Standard library only, Python 3.8 and later (the runner is started by the job's interpreter), and nothing imported from
outside this package: :data:`BOOT` starts it by its directory, without the rest of cloudtune.
"""

# argv: directory that holds `inside`, module of `inside`, arguments for its main()
BOOT = (
    "import sys, importlib; _, where, name, *rest = sys.argv; path = sys.path[1:]; sys.path[:] = [where, *path]; "
    "run = importlib.import_module('inside.' + name).main; sys.path[:] = path; sys.exit(run(rest))"
)
