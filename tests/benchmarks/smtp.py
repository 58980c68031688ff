"""Measures signing and sending: how many letters a second, and what a thousand cost.

    python tests/benchmarks/smtp.py [--letters 3000] [--size 30000] [--connections 1 4 8] [--port 2525]

Prints a line a figure: signing on one core; signing and sending to Debian's `smtp-sink`, which takes
everything and keeps nothing; and beside it `smtp-source`, the same letters from a program that does
nothing else. Both are of the package postfix. Letters are made beforehand. The load of the machine
stands in front: figures of machines that do something else meanwhile are no figures.
"""

from __future__ import annotations

import argparse
import base64
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from feeds import dkim
from feeds.model import Letter
from feeds.outbox.smtp import Connection, Server

NOW = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
HEADERS = """From: News digest <news@example.org>
To: reader{number}@example.org
Subject: =?utf-8?q?Parliament_passes_the_budget?= + {number} more
Date: Fri, 02 Jan 2026 08:00:00 +0500
Message-ID: <{number}@example.org>
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii
List-Id: Daily <daily.example.org>
List-Unsubscribe: <https://news.example.org/u/{number:024}>
List-Unsubscribe-Post: List-Unsubscribe=One-Click
Auto-Submitted: auto-generated

"""


def signer() -> dkim.Signer:
    """Return a signer with a new key of 2,048 bits."""
    pem = rsa.generate_private_key(65_537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return dkim.load(pem, "example.org", "s1")


def letters(count: int, size: int) -> list[Letter]:
    """Return unsigned letters of about `size` bytes, each with a text of its own."""
    body = base64.encodebytes(random.Random(1).randbytes(size * 3 // 4)).replace(b"\n", b"\r\n")
    made = []
    for number in range(count):
        head = HEADERS.format(number=number).replace("\n", "\r\n").encode()
        data = head + b"%d\r\n" % number + body[len(head) :]
        address = f"reader{number}@example.org"
        made.append(
            Letter(address, f"<{number}@example.org>", "S", data, f"b+{number}@example.org")
        )
    return made


def figure(name: str, count: int, seconds: float, cpu: float) -> None:
    """Print one line."""
    load = os.getloadavg()[0]
    print(
        f"load {load:4.1f}  {name:44} {count / seconds:7.0f} letters/s  "
        f"{cpu / count * 1000:5.2f} CPU s per 1,000",
        flush=True,
    )


def signing(key: dkim.Signer, batch: Sequence[Letter]) -> None:
    """Measure signing alone, in this thread."""
    began, used = time.perf_counter(), time.process_time()
    for letter in batch:
        dkim.sign(key, letter.data, NOW)
    figure("sign", len(batch), time.perf_counter() - began, time.process_time() - used)


def sending(key: dkim.Signer | None, batch: Sequence[Letter], port: int, connections: int) -> None:
    """Measure sending, each connection in a thread of its own."""
    server = Server("127.0.0.1", port, "none")
    sent = []

    def work(part: int) -> None:
        with Connection(server) as connection:
            for letter in batch[part::connections]:
                data = dkim.sign(key, letter.data, NOW) if key else letter.data
                connection.offer(
                    Letter(letter.recipient, letter.message_id, "S", data, letter.sender)
                )
                connection.conclude()
            sent.append(connection.sent)

    threads = [threading.Thread(target=work, args=(part,)) for part in range(connections)]
    began, used = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    assert sum(sent) == len(batch)
    name = f"{'sign + send' if key else 'send'}, {connections} connections"
    figure(name, len(batch), seconds, cpu)


def source(count: int, size: int, port: int, connections: int) -> None:
    """Measure `smtp-source` at the same work, less the signature."""
    began, used = time.perf_counter(), os.times()
    subprocess.run(
        [
            "smtp-source",
            *("-s", str(connections), "-m", str(count), "-l", str(size)),
            *("-f", "a@example.org", "-t", "b@example.org", f"127.0.0.1:{port}"),
        ],
        check=True,
    )
    now = os.times()
    cpu = now.children_user + now.children_system - used.children_user - used.children_system
    name = f"smtp-source, {connections} connections"
    figure(name, count, time.perf_counter() - began, cpu)


@contextmanager
def sink(port: int) -> Iterator[None]:
    """Run `smtp-sink`, until it is no longer needed."""
    process = subprocess.Popen(
        ["smtp-sink", "-u", "nobody", "-c", f"127.0.0.1:{port}", "1000"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--letters", type=int, default=3_000)
    parser.add_argument("--size", type=int, default=30_000)
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 4, 8])
    parser.add_argument("--port", type=int, default=2525)
    asked = parser.parse_args()
    key, batch = signer(), letters(asked.letters, asked.size)
    signing(key, batch)
    if shutil.which("smtp-sink") is None:
        sys.exit("smtp-sink is not installed; it comes with postfix")
    with sink(asked.port):
        for connections in asked.connections:
            source(asked.letters, asked.size, asked.port, connections)
            sending(None, batch, asked.port, connections)
            sending(key, batch, asked.port, connections)


if __name__ == "__main__":
    main()
