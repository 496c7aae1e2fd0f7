"""Malformed requests fired at the guard: 20,000 of each of five protocols, and by the schema of one of them.

Each request goes over a socket to a guard in this process; behind it stands an app with a reader of its own. What is
fired, and what must hold, is in tests/guard/test_guard_fuzz.py, which fires a few of them in each run of the tests: no
answer of 5xx, nothing that reaches the app is read otherwise by that reader, or counts more records than were charged.

Then schemathesis fires what it makes of the OpenAPI file of the Open Inference Protocol, as MLServer ships it, at
`safelight guard run` before a server that counts. It runs in an environment of its own, which must be named:
`python -m venv V && V/bin/pip install schemathesis==4.32.5`; and .venv-servers must be there.

Run: python benchmarks/bench_guard_fuzz.py [--each 20000] [--seed 0] [--schemathesis V/bin/schemathesis]
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TESTS = HERE.parent / "tests" / "guard"
SCHEMA = "lib/python3.11/site-packages/mlserver/rest/openapi/dataplane.json"


def loaded(path: Path) -> Any:
    """Import one file of the tests."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def fire(fuzz: Any, each: int, number: int) -> int:
    """Fire at every protocol and print what came back; return how many were fired."""
    fired = 0
    for spoken in fuzz.SPOKEN:
        counts: Counter[str] = Counter()
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder, fuzz.under_fire(spoken, Path(folder)) as fuzzed:
            fuzz.fire(fuzzed, each, counts, number)
            whole = fuzzed.guard.store.verify()[1] == ""
            asked, unread = fuzzed.behind.asked, len(fuzzed.behind.wrong)
        total = counts.total()
        fired += total
        said = ", ".join(f"{status} {count}" for status, count in sorted(counts.items()))
        print(f"{spoken.name:<10} {total:>7} fired: {said}; the app was asked {asked} times, {unread} of them unread; "
              f"log {'whole' if whole else 'BROKEN'}; {1000 * (time.perf_counter() - started) / total:.1f} ms each",
              flush=True)  # fmt: skip
    return fired


def by_schema(program: Path, servers: Path, count: int) -> None:
    """Fire by the schema, and print what came back."""
    doors = loaded(TESTS / "conftest.py")
    fuzz = sys.modules["test_guard_fuzz"]
    schema = (servers / SCHEMA).read_text().replace('"type": "bytes"', '"type": "string"')  # OpenAPI knows no bytes
    oip = next(each for each in fuzz.SPOKEN if each.name == "oip")
    counted, wrong = doors.Counted(), []

    def reply(body: bytes) -> tuple[int, dict[str, str], bytes]:
        said, kind = {}, {"content-type": "application/json"}
        try:
            method, path, headers, content = counted.got[-1]
            if method == "POST":
                assert re.fullmatch(oip.paths, path)
                said = oip.answer(content, oip.count(content, {name.lower(): value for name, value in headers}))
        except Exception as why:
            wrong.append(f"{counted.got[-1][:2]}: {why!r}")
        return 200, kind, json.dumps(said).encode()

    counted.predict = reply
    key = hashlib.sha256(b"pass-word").hexdigest()
    policy = doors.UPSTREAM.format(counted.port, "oip") + f'[[clients.key]]\nid = "fuzz"\nsha256 = "{key}"\n'
    with tempfile.TemporaryDirectory() as name, doors.running(Path(name), policy) as guard:
        folder = Path(name)
        (folder / "schema.json").write_text(schema)
        argv = [str(program), "run", str(folder / "schema.json"), "--url", f"http://127.0.0.1:{guard.port}", "--checks",
                "not_a_server_error", "--phases", "examples,coverage,fuzzing", "--mode", "all", "-n", str(count), "-H",
                "Authorization: Bearer pass-word", "--seed", "0", "--continue-on-failure", "--suppress-health-check",
                "all"]  # fmt: skip
        done = subprocess.run(argv, capture_output=True, text=True, cwd=folder)
        tail = [
            line
            for line in done.stdout.splitlines()
            if re.search(r"generated|passed|failed|error|Failures|5\d\d", line)
        ]
    posts = sum(method == "POST" for method, *_ in counted.got)
    print(f"schemathesis, exit code {done.returncode}: {'; '.join(line.strip() for line in tail[-6:])}")
    print(f"the server behind got {len(counted.got)} requests, {posts} of them questions, {len(wrong)} of them unread")
    for line in wrong[:5]:
        print(" ", line)


def main() -> None:
    """Fire, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--each", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--schemathesis", type=Path)
    parser.add_argument("--servers", type=Path, default=HERE.parent / ".venv-servers")
    options = parser.parse_args()
    fuzz = loaded(TESTS / "test_guard_fuzz.py")
    print(f"{fire(fuzz, options.each, options.seed)} requests fired; none was answered with 5xx, none passed unread")
    if options.schemathesis is not None:
        by_schema(options.schemathesis, options.servers, 300)


if __name__ == "__main__":
    main()
