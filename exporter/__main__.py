"""Run the command line with `python -m kexport`."""

import sys

from kexport.cli import main

if __name__ == "__main__":
    sys.exit(main())
