"""`python -m scheduler`; see scheduler/cli."""

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line; Ctrl-C while the modules load ends quietly, too."""
    try:
        from scheduler.cli.program import main as run  # inside: loading takes long enough to be interrupted

        return run()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
