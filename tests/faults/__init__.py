"""The fault suite: what a command leaves behind when it is killed, starved, lied to or attacked.

    pytest                                a seeded sample of every kind, about two minutes
    pytest tests/faults --whole           every point, about half an hour
    pytest tests/faults --faults-seed 7   another sample; the header names the seed of this one
    pytest -m "not faults"                without it

Each test ends in one of two ways: the state of an undisturbed run, or a clear error with the record
whole and nothing published or mailed that an undisturbed run would not have.

| module | what happens |
|---|---|
| `test_kill` | SIGKILL at Python's audit events and at system calls, of a pass and of each verb |
| `test_disk` | no room: a system call says so, or a small file system is full |
| `test_out` | `out/` is read-only, somebody else's, full of planted links |
| `test_record` | the record is cut, spoilt, emptied, newer, or lost its log |
| `test_backup` | backup and restore are killed, or given a damaged file |
| `test_clock` | the clock wanders over changes of the hour, and jumps |
| `test_two_processes` | many at once |
| `test_hostile_text` | every field and every name is hostile |
| `test_secrets` | canaries are looked for in all that is said and written |

**Kills.** `server` is a process that has imported everything and forks a child for each kill, so that a
point costs a third of a second. The whole suite watches one pass at each of its events, groups those
between which nothing changed on disk, and really kills at one of each group; that the kill left what
was seen then is checked, too. System calls are killed by `strace`, on the command as a process.

**To add a command**, write a function in `test_kill` that prepares a home and returns a `Walk`.
**What this needs** beyond Python: `strace`, `faketime`, and root for mounts; without one of them, its
tests are skipped and say so.
"""
