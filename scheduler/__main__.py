"""`python -m scheduler`; see scheduler/cli."""

import sys

from scheduler.cli.program import main

if __name__ == "__main__":
    sys.exit(main())
