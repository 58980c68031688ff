"""The command `feeds`, and `python -m feeds`.

Imports the command line late, so that Ctrl-C in its first tenths of a second ends it quietly, too.
"""

import sys

_INTERRUPTED = 130


def main() -> None:
    """Run the command that the arguments of the process name."""
    try:
        from feeds import cli  # noqa: PLC0415 -- see the module's docstring
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    cli.main()


if __name__ == "__main__":
    main()
