"""The command line: a door. Results go to stdout, everything else to stderr.

Exit status: 0 all well; 1 failed; 2 wrong usage or configuration; 3 the pass finished but some items
of it failed. A closed pipe is no error; Ctrl-C leaves nothing half done (130).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from feeds import __version__
from feeds.cli import bounces, doors, editions, health, passes, record, subscribers, upkeep
from feeds.cli.common import FAILED, INTERRUPTED, USAGE, places
from feeds.errors import ConfigError, FeedsError, UsageError


class _Patient(click.Group):
    """Takes a closed pipe for what it is: the reader has seen enough. click would end with 1."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was named, and return its status."""
        try:
            status = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # Python would complain once more when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return status


@click.group(
    cls=_Patient, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@places
def commands() -> None:
    """Turn plain-text news digests into topic feeds and a newsletter.

    Put digests into seeds/, then:

    \b
      feeds run                              read, classify, publish, send
      feeds watch --serve                    stay: digests as they land, editions on time
      feeds serve                            serve out/ on this machine
      feeds subscribers add you@example.org  receive the newsletter
      feeds check seeds/*                    see how files are read
    """


for group in (passes, doors, record, editions, subscribers, bounces, health, upkeep):
    for command in group.COMMANDS:
        commands.add_command(command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command that the arguments name (those of the process), and exit with its status."""
    try:
        status = commands.main(arguments, prog_name="feeds", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        status = INTERRUPTED
    except OSError as error:  # of stdout; every other one is wrapped by the room that met it
        click.echo(f"feeds: output: {error.strerror}", err=True)
        status = FAILED
    except FeedsError as error:
        if os.environ.get("FEEDS_DEBUG"):
            raise
        click.echo(f"feeds: {error}", err=True)
        status = USAGE if isinstance(error, (ConfigError, UsageError)) else FAILED
    sys.exit(status or 0)
