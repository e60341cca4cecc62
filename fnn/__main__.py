"""`python -m fnn` is the command `fnn`."""

import sys

from fnn.cli import main

if __name__ == "__main__":
    sys.exit(main())
