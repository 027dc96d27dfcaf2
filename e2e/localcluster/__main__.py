"""`python -m e2e.localcluster`: see cli.py."""

import sys

from e2e.localcluster.cli import main

if __name__ == "__main__":
    sys.exit(main())
