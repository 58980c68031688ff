"""Commands that look after the record: backup, restore, doctor."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import click

from feeds import app as opened
from feeds.cli.common import (
    FAILED,
    application,
    emit,
    json_option,
    places,
    plural,
    settings,
    stamp,
)
from feeds.cli.health import tell_check
from feeds.pipeline import backups, health
from feeds.pipeline.backups import Restored


@click.command()
@places
@click.argument("file", type=Path)
@json_option
@click.pass_context
def backup(context: click.Context, file: Path, as_json: bool) -> None:
    """Write the record and its key to a new file.

    All goes on meanwhile. The file is compressed when its name ends in .gz or .tgz. It holds the
    addresses of all subscribers and the key of their links: it is readable by you alone; keep it so.

    \b
    Examples:
      feeds backup feeds.tar.gz
      feeds backup /mnt/safe/feeds-$(date +%F).tar.gz
    """
    with application(context) as app:
        made = backups.backup(app, file)
        manifest = backups.verify(made)
    if as_json:
        about = {"file": str(made), "bytes": made.stat().st_size, "key": manifest.keyed}
        emit(about | {"schema": manifest.schema, "made": stamp(manifest.made)})
        return
    held = "the record and its key" if manifest.keyed else "the record, without a key"
    click.echo(f"{made}: {held}, {made.stat().st_size:,} bytes")
    _tell_key()


@click.command()
@places
@click.argument("file", type=Path)
@json_option
@click.pass_context
def restore(context: click.Context, file: Path, as_json: bool) -> None:
    """Put a backup in place of the record.

    Mail stops. The backup is proved whole before anything is touched, and the present record is kept
    beside. Nothing is mailed after it until `feeds send --release`: what went out since the backup was
    made is not on its record, and would go out again.

    \b
    Examples:
      feeds restore feeds.tar.gz
      feeds restore .feeds/backups/feeds-20260102T030000Z.tar.gz
    """
    found = settings(context)
    now = opened.clock(os.environ)()
    with opened.lock(found, "restore"):
        done = backups.restore(found, file, now, os.environ)
    if as_json:
        replaced = str(done.replaced) if done.replaced else None
        emit({"made": stamp(done.manifest.made), "replaced": replaced, "key": done.manifest.keyed})
    else:
        _tell_restored(done, file)


@click.command()
@places
@json_option
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> int:
    """Check everything, and name what mends it.

    Changes nothing. Reads the whole record, every document and every digest, which takes a while when
    there are many. Ends with 1 when a check fails.
    """
    checks = health.examine(settings(context), os.environ)
    for check in checks:
        if as_json:
            emit(asdict(check))
        else:
            tell_check(check)
    failed = sum(not check.ok for check in checks)
    if not as_json:
        click.echo(f"\n{plural(failed, 'check')} failed." if failed else "\nAll is well.")
    return FAILED if failed else 0


COMMANDS = (backup, restore, doctor)


def _tell_restored(done: Restored, file: Path) -> None:
    click.echo(f"Restored   {file}, made {stamp(done.manifest.made)}")
    if done.replaced is not None:
        click.echo(f"Kept       {done.replaced}/ holds what it replaced; remove it when sure")
    if done.signer is not None:
        click.echo(f"Signing    the key that signs letters is at {done.signer}")
    if done.rekeyed:
        click.echo("Key        that of the backup is in place")
    elif not done.manifest.keyed:
        click.echo("Key        none in the backup; the one that is there stays")
    _tell_key()
    click.echo(
        "\nNothing is mailed until you say so:\n"
        "  feeds run                        reads seeds/ and publishes out/ again\n"
        "  feeds send --release --dry-run   shows what would go\n"
        "  feeds send --release             lets it go"
    )


def _tell_key() -> None:
    """Say where the key comes from when that is not the state folder."""
    for name in ("FEEDS_SECRET", "FEEDS_SECRET_FILE"):
        if os.environ.get(name):
            click.echo(f"Key        {name} gives it, and is in no backup: keep it yourself")
            return
