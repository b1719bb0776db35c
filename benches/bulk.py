#!/usr/bin/env python3
"""Measures a million users loaded by bulk calls into a gate, over HTTP: `make bench`.

The gate is the release binary with a configuration of its own, on free ports, its
state in a temporary folder. The ids go in as lines of JSON in one call, and the
answer is read to its end: every change is durable and in force when its line comes.
Beside it, single suspensions are made all the while, and event streams are open.
Then pages of filters are read from the store that holds them all, and the batch is
undone.
"""

import argparse
import http.client
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

CONFIG = """
[data]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[store]
folder = "state"

[[tenants]]
id = "bench"
hosts = ["bench.localhost"]
upstream = "http://127.0.0.1:9"

[[tenants.session_cookies]]
name = "sid"

[[tenants.logins]]
path = "/login"
"""

PAGES = {
    "everyone suspended, first page": "",
    "by kind": ' and suspension_status=="permanent"',
    "by reason": ' and suspension_reason=="violatedTrustByeBye"',
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures bulk calls.")
    parser.add_argument("--gate", type=pathlib.Path, required=True, help="a release build")
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--keep-going", action="store_true", help="without the undoing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gate-bulk-") as folder:
        gate = Gate(options.gate.resolve(), pathlib.Path(folder))
        try:
            measure(gate, options)
        finally:
            gate.stop()
    return 0


class Gate:
    def __init__(self, binary: pathlib.Path, folder: pathlib.Path):
        (folder / "portcullis.toml").write_text(CONFIG)
        made = subprocess.run(
            [binary, "token", "create", "--role", "global-admin"],
            cwd=folder, check=True, capture_output=True, text=True,
        )
        self.token = made.stdout.strip()
        ready = folder / "ready.json"
        with (folder / "gate.log").open("w") as log:
            self.process = subprocess.Popen(
                [binary, "run"], cwd=folder, stdout=log, stderr=log,
                env={**os.environ, "PORTCULLIS_READY_FILE": str(ready)},
            )
        deadline = time.monotonic() + 60
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit("error: the gate did not start: " + (folder / "gate.log").read_text())
            time.sleep(0.02)
        self.admin = json.loads(ready.read_text())["admin"]
        self.state = folder / "state"

    def call(self, method: str, path: str, body=None, kind="application/json"):
        connection = http.client.HTTPConnection(self.admin)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        if response.status != 200:
            sys.exit(f"error: {method} {path}: {response.status} {response.read(500)!r}")
        return response

    def memory_mb(self) -> int:
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) // 1024

    def cpu_seconds(self) -> float:
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()


def measure(gate: Gate, options: argparse.Namespace) -> None:
    head = {"action": "suspend", "reason": "violatedTrustByeBye", "batch": "load", "ticket": "BENCH-1"}
    lines = [json.dumps(head)] + [f'"user{n}@bench.test"' for n in range(options.users)]
    body = ("\n".join(lines) + "\n").encode()
    del lines
    singles, done = [], threading.Event()
    beside = threading.Thread(target=suspend_singly, args=(gate, singles, done))
    beside.start()
    load = run(gate, "/api/v1/bulk", body, "application/x-ndjson")
    done.set()
    beside.join()
    report("loaded", load, gate)
    singles.sort()
    if singles:
        print(
            f"  beside it {len(singles)} single suspensions: "
            f"median {singles[len(singles) // 2]:.1f} ms, worst {singles[-1]:.1f} ms"
        )
    size = sum(file.stat().st_size for file in gate.state.iterdir()) / 1e6
    print(f"  the store has {size:.0f} MB, {size * 1e6 / options.users:.0f} bytes a user; "
          f"the gate {gate.memory_mb()} MB of memory")
    for name, more in PAGES.items():
        pages(gate, name, 'status=="suspended"' + more)
    if not options.keep_going:
        report("undone", run(gate, "/api/v1/bulk/load/undo", b"{}", "application/json"), gate)


def run(gate: Gate, path: str, body: bytes, kind: str) -> dict:
    began, cpu = time.monotonic(), gate.cpu_seconds()
    response = gate.call("POST", path, body, kind)
    tail = b""
    while piece := response.read1(1 << 20):
        tail = (tail + piece)[-8192:]
    seconds = time.monotonic() - began
    summary = json.loads(tail.splitlines()[-1])["summary"]
    if not summary["complete"]:
        sys.exit(f"error: {summary}")
    return {**summary, "seconds": seconds, "cpu": gate.cpu_seconds() - cpu}


def report(what: str, summary: dict, gate: Gate) -> None:
    rate = summary["done"] / summary["seconds"]
    print(
        f"{what} {summary['done']} users ({summary['changed']} changed) in {summary['seconds']:.1f} s: "
        f"{rate:.0f} a second, durable and in force; {summary['cpu'] * 1e6 / summary['done']:.0f} µs of processor each",
        flush=True,
    )


def suspend_singly(gate: Gate, times: list, done: threading.Event) -> None:
    connection = http.client.HTTPConnection(gate.admin)
    headers = {"Authorization": f"Bearer {gate.token}", "Content-Type": "application/json"}
    number = 0
    while not done.wait(0.05):
        began = time.monotonic()
        connection.request("POST", f"/api/v1/users/single{number}/suspend", "{}", headers)
        connection.getresponse().read()
        times.append((time.monotonic() - began) * 1e3)
        number += 1


def pages(gate: Gate, name: str, filter_text: str) -> None:
    from urllib.parse import quote

    connection = http.client.HTTPConnection(gate.admin)
    headers = {"Authorization": f"Bearer {gate.token}"}
    path = f"/api/v1/users?limit=50&filter={quote(filter_text)}"
    times, cursor = [], ""
    for _ in range(200):
        began = time.monotonic()
        connection.request("GET", path + cursor, headers=headers)
        page = json.loads(connection.getresponse().read())
        times.append((time.monotonic() - began) * 1e3)
        cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    times.sort()
    print(
        f"  a page of 50 {name}: median {statistics.median(times):.2f} ms, "
        f"p99 {times[len(times) * 99 // 100]:.2f} ms (200 pages on, by cursor)",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
