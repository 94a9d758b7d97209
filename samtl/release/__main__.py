"""python -m samtl.release: see `samtl.release.publish`."""

from samtl.common.errors import run_script
from samtl.release.publish import main

run_script(main)
