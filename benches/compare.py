#!/usr/bin/env python3
"""Measures the gate beside nginx, in one run, on one machine: `make bench`.

wrk ─► nginx `proxy_pass` ─► origin (nginx `return 200`)
wrk ─► the gate           ─► the same origin

Every request through the gate carries the session cookie of a user who logged in
through it, so each is identified and its status looked up. Then the user is
suspended, and refusals are measured beside nginx `return 403`. The two take
turns, round after round, so that what else the machine does falls on both. The
figures of a round are of this machine at this minute: read the ratios.

Processor time is the proxy's own, user and system, all of its processes.
Ports are whatever is free; everything lives in a temporary folder.
"""

import argparse
import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HOST = "bench.localhost"
USER = "alice"

GATE_CONFIG = """
[data]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[store]
folder = "{folder}/state"

[[tenants]]
id = "bench"
hosts = ["{host}"]
upstream = "http://127.0.0.1:{origin}"

[[tenants.session_cookies]]
name = "sid"

[[tenants.logins]]
path = "/login"
body = "form"
user_field = "username"
"""

# What both nginxes have in common: nothing is logged, connections are kept.
NGINX_CONFIG = """
daemon off;
worker_processes auto;
pid {folder}/{name}.pid;
error_log {folder}/{name}.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  absolute_redirect off;
  keepalive_requests 100000000;
  keepalive_timeout 300s;
  client_body_temp_path {folder}/{name}-body;
  proxy_temp_path {folder}/{name}-proxy;
  fastcgi_temp_path {folder}/{name}-fastcgi;
  uwsgi_temp_path {folder}/{name}-uwsgi;
  scgi_temp_path {folder}/{name}-scgi;
  {http}
}}
"""

# An app as far as a gate can see: a page, and a login that gives a session.
ORIGIN = """
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{ return 200 "hello\\n"; }}
    location = /login {{
      add_header Set-Cookie "sid=b5f1c2d3e4a596877869504132f0e1d2; Path=/; HttpOnly";
      return 303 /;
    }}
  }}
"""

PROXY = """
  upstream origin {{
    server 127.0.0.1:{origin};
    keepalive 64;
    keepalive_requests 100000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
    }}
    location = /refused {{ return 403; }}
  }}
"""


class Failed(Exception):
    """What went wrong, in words for whoever runs the benchmark."""


def main() -> int:
    options = arguments()
    try:
        with contextlib.ExitStack() as stack:
            run(options, stack)
    except Failed as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures the gate beside nginx.")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--gate", type=pathlib.Path, help="the gate's binary, a release build")
    which.add_argument("--nginx-only", action="store_true", help="try the measuring itself")
    parser.add_argument("--seconds", type=int, default=5, help="length of one run (default 5)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (default 3)")
    parser.add_argument("--connections", type=int, default=32, help="held by wrk (default 32)")
    return parser.parse_args()


def run(options: argparse.Namespace, stack: contextlib.ExitStack) -> None:
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gate-bench-")))
    # Workers of an nginx started by root give up root and must still get in.
    folder.chmod(0o755)
    _, origin = start_nginx(stack, folder, "origin", ORIGIN)
    nginx, port = start_nginx(stack, folder, "proxy", PROXY, origin=origin)
    peers = {"nginx": (nginx, port)}
    cookie = None
    if options.gate:
        gate, data, admin, token = start_gate(stack, folder, options.gate, origin)
        peers["gate"] = (gate, data)
        cookie = log_in(data)

    load = lambda peer, path, expect: measure(options, peer, path, cookie, expect)
    forwarded = rounds(options, peers, lambda name: load(peers[name], "/", 200))
    print_table("forwarded, with a session and a status check at the gate", forwarded)

    if options.gate:
        suspend(admin, token)
    paths = {"nginx": "/refused", "gate": "/"}
    refused = rounds(options, peers, lambda name: load(peers[name], paths[name], 403))
    print_table("refused (nginx: `return 403`)", refused)


def rounds(options, peers, once) -> dict:
    """Each peer in turn, the first one changing, so that none is always second."""
    names = list(peers)
    results = {name: [] for name in names}
    for number in range(options.rounds):
        for name in names if number % 2 == 0 else reversed(names):
            results[name].append(once(name))
    return results


def measure(options, peer, path, cookie, expect) -> dict:
    process, port = peer
    status = request(port, "GET", path, headers=cookie_header(cookie))[0]
    if status != expect:
        raise Failed(f"GET {path} on port {port}: {status} where {expect} was expected")
    command = ["wrk", "-t1", f"-c{options.connections}", "--latency", "-H", f"Host: {HOST}"]
    for name, value in cookie_header(cookie).items():
        command += ["-H", f"{name}: {value}"]
    url = f"http://127.0.0.1:{port}{path}"
    subprocess.run([*command, "-d1s", url], check=True, capture_output=True)
    before = cpu_seconds(process.pid)
    said = subprocess.run(
        [*command, f"-d{options.seconds}s", url], check=True, capture_output=True, text=True
    ).stdout
    spent = cpu_seconds(process.pid) - before
    requests = int(re.search(r"(\d+) requests in", said)[1])
    other = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    failures = re.search(r"Socket errors: .*", said)
    # A peer that answers something else, or nothing, is not being measured.
    if int(other[1] if other else 0) != (0 if expect == 200 else requests) or failures:
        raise Failed(f"wrk on {url} did not see {expect} each time:\n{said}")
    return {
        "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]),
        "cpu": spent / requests * 1e6,
        "p50": milliseconds(re.search(r"^\s+50%\s+(\S+)", said, re.M)[1]),
        "p99": milliseconds(re.search(r"^\s+99%\s+(\S+)", said, re.M)[1]),
    }


def milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}[unit]


def print_table(title: str, results: dict) -> None:
    middle = {
        name: {key: statistics.median(one[key] for one in runs) for key in runs[0]}
        for name, runs in results.items()
    }
    base = middle["nginx"]
    print(f"\n{title}\n")
    print(f"  {'':6} {'req/s':>9} {'to nginx':>9} {'CPU µs':>8} {'to nginx':>9} {'p50 ms':>8} {'p99 ms':>8}   req/s of each round")
    for name, one in middle.items():
        each = " ".join(f"{run['rate']:.0f}" for run in results[name])
        print(
            f"  {name:6} {one['rate']:9.0f} {one['rate'] / base['rate']:9.2f} {one['cpu']:8.1f}"
            f" {one['cpu'] / base['cpu']:9.2f} {one['p50']:8.2f} {one['p99']:8.2f}   {each}"
        )
    sys.stdout.flush()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of its living children."""
    total = 0
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended while we looked
            number, _, rest = stat.read_text().partition(" ")
            # The name is in brackets and may hold anything, brackets too.
            fields = rest.rpartition(")")[2].split()
            if int(number) == pid or int(fields[1]) == pid:
                total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def start_nginx(stack, folder, name, http, **values):
    port = free_port()
    config = folder / f"{name}.conf"
    text = http.format(port=port, **values)
    config.write_text(NGINX_CONFIG.format(folder=folder, name=name, http=text))
    process = start(stack, folder, name, ["nginx", "-p", folder, "-e", folder / f"{name}.log", "-c", config])
    wait_for(process, folder, name, lambda: answers(port))
    return process, port


def start_gate(stack, folder, binary, origin):
    config = folder / "portcullis.toml"
    config.write_text(GATE_CONFIG.format(folder=folder, host=HOST, origin=origin))
    made = subprocess.run(
        [binary, "token", "create", "--role", "global-admin", "--json", "--config", config],
        capture_output=True, text=True,
    )
    if made.returncode != 0:
        raise Failed(f"no admin token could be made: {made.stderr.strip()}")
    ready = folder / "ready.json"
    process = start(
        stack, folder, "gate", [binary, "run", "--config", config],
        env={**os.environ, "PORTCULLIS_READY_FILE": str(ready)},
    )
    where = wait_for(process, folder, "gate", lambda: read_json(ready))
    port = lambda wing: int(where[wing].rpartition(":")[2])
    return process, port("data"), port("admin"), json.loads(made.stdout)["token"]


def log_in(data: int) -> str:
    """Through the gate, as a browser would, so that it learns whose session it is."""
    status, headers, _ = request(
        data, "POST", "/login", f"username={USER}&password=demo",
        {"Content-Type": "application/x-www-form-urlencoded"},
    )
    cookie = headers.get("Set-Cookie", "").partition(";")[0]
    if status != 303 or not cookie.startswith("sid="):
        raise Failed(f"the login through the gate gave {status} and the cookie {cookie!r}")
    return cookie


def suspend(admin: int, token: str) -> None:
    status, _, body = request(
        admin, "POST", f"/api/v1/users/{USER}/suspend", json.dumps({"reason": "benchmark"}),
        {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    if status != 200:
        raise Failed(f"the user could not be suspended: {status} {body}")


def cookie_header(cookie) -> dict:
    return {"Cookie": cookie} if cookie else {}


def request(port, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, {"Host": HOST, **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode(errors="replace")
    except OSError as error:
        raise Failed(f"{method} {path} on port {port}: {error}") from error
    finally:
        connection.close()


def start(stack, folder, name, command, env=None):
    output = stack.enter_context(open(folder / f"{name}.out", "wb"))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env)
    stack.callback(stop, process)
    return process


def stop(process) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(process, folder, name, look):
    """What `look` finds, once it finds something; nothing is awaited for longer than 30 s."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        if found := look():
            return found
        time.sleep(0.01)
    said = "".join(
        (folder / file).read_text(errors="replace")
        for file in (f"{name}.out", f"{name}.log") if (folder / file).exists()
    )
    raise Failed(f"{name} did not come up:\n{said}")


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def read_json(path: pathlib.Path):
    with contextlib.suppress(OSError, json.JSONDecodeError):
        return json.loads(path.read_text())
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())
