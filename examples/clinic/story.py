"""A small clinic puts its model behind the guard, is robbed, notices, and goes back to the version that leaks less.

Run: python examples/clinic/story.py [FOLDER] [--pictures DIR]

It takes Safelight with all extras, and the environment of the model servers, which `make servers` makes (SERVERS_PYTHON
names another one). It ends with 1 where a step did not do what it says.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import sqlite3
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import clinic
import door
from pictures import Camera
from processes import Desk, NotSo, check, serving

SERVERS = Path(os.environ.get("SERVERS_PYTHON", Path(__file__).parents[2] / ".venv-servers/bin/python"))
OBEYS = 1.0  # seconds within which a running guard follows an alias, and its policy
THIEF, WHO = "practice-17", "A. Lind"
RECORD, WATCH = 'record = "traffic.npy"', 'reference = "calibration.npz"'


def main(folder: Path, pictures: Path | None) -> None:
    if not SERVERS.is_file():
        raise NotSo(f"{SERVERS} is missing: run `make servers`, or name one in SERVERS_PYTHON.")
    folder.mkdir(parents=True, exist_ok=True)
    desk, people, keys = Desk(folder), clinic.patients(), clinic.new_keys()
    with ExitStack() as running:
        say("1. Two versions of a model that tells benign biopsies from malignant ones, and an audit of each")
        urls = audited(desk, people, running)
        say("2. The guard before them, with version 1")
        policy, port = folder / "guard.toml", free_port()
        url = f"http://127.0.0.1:{port}"
        clinic.write_policy(policy, urls, keys, RECORD)
        desk.safelight("guard", "promote", "1", "--why", "the first that was audited")
        argv = [sys.executable, "-m", "safelight", "guard", "run", "--port", str(port)]
        running.enter_context(serving(argv, folder / "guard.log")).answers(f"{url}/ping")
        camera = running.enter_context(Camera.before(folder, pictures, WHO))
        forced(desk)
        watched(desk, policy, urls, keys, url, people)
        robbed(desk, url, keys, people, camera)
        handled(desk, policy, urls, keys, url, people, camera)
    say("8. The log")
    checked(desk)


def audited(desk: Desk, people: clinic.Patients, running: ExitStack) -> tuple[str, str]:
    """Train, serve and audit both versions; return where they are served."""
    accuracy = clinic.lay_out(desk.folder, people)
    print(f"   Right on patients who came later: version 1 {accuracy['1']:.1%}, version 2 {accuracy['2']:.1%}.")
    started, serve = {}, str(Path(__file__).with_name("serve_mlflow.py"))
    for version in clinic.FORESTS:
        port = free_port()
        argv = [str(SERVERS), serve, f"version-{version}.skops", f"mlflow-{version}", str(port)]
        server = running.enter_context(serving(argv, desk.folder / f"mlflow-{version}.log"))
        started[f"http://127.0.0.1:{port}"] = server
    for version, ends in (("1", 0), ("2", 1)):
        words = ("audit", f"audit-{version}.toml", "--only", "M001,M002", "--out", f"audit-{version}", "--quiet")
        desk.safelight(*words, ends=ends, shown=4)
    check(True, "The audit of version 1 ends with 0; that of version 2 ends with 1: a leak.")
    for url, server in started.items():
        server.answers(f"{url}/ping")
    one, two = started
    return one, two


def forced(desk: Desk) -> None:
    say("3. Somebody wants the more accurate version 2")
    said = desk.safelight("guard", "promote", "2", ends=2)
    check("stays at 1" in said, "The guard says no: its audit is worse. It takes force, and a reason that stays.")
    desk.safelight("guard", "promote", "2", "--force", "--why", "more accurate, says the vendor")
    time.sleep(OBEYS)


def watched(
    desk: Desk, policy: Path, urls: tuple[str, str], keys: dict[str, str], url: str, people: clinic.Patients
) -> None:
    say(f"4. {len(keys)} practices ask, the guard records, and learns what is normal here")
    later = clinic.fields(people.later)
    found = door.a_day(url, keys, later, seed=1)
    check(set(found) == {200}, f"{found.get(200, 0)} questions were asked and answered.")
    desk.safelight("guard", "calibrate", "--traffic", "traffic.npy")
    written(policy, urls, keys)
    desk.safelight("guard", "playbooks")
    found = door.a_day(url, keys, later, seed=2)
    check(set(found) == {200}, f"Another {found.get(200, 0)} normal questions are watched, and none is refused.")
    mild = [client for client, state in states(desk).items() if state]
    print(f"   By chance {len(mild)} of {len(keys)} practices rang a little: their answers are coarser for an hour.")
    (desk.folder / "traffic.npy").unlink()  # it holds what was asked, as it was


def robbed(desk: Desk, url: str, keys: dict[str, str], people: clinic.Patients, camera: Camera) -> None:
    say(f"5. Somebody has stolen the key of {THIEF} and asks who was trained on (attack M006)")
    theft = door.rob(url, keys[THIEF], people, seed=3)
    print(f"   The attack ended: {theft.ended}")
    check(
        "403" in theft.ended and theft.answered < theft.wanted / 2,
        f"It got answers for {theft.answered} of the {theft.wanted} records it would have asked about.",
    )
    held = [client for client, state in states(desk).items() if state.endswith(" s")]
    check(held == [THIEF], f"{THIEF} is in quarantine, and nobody else is.")
    others = {client: key for client, key in keys.items() if client != THIEF}
    found = door.a_day(url, dict(list(others.items())[:10]), clinic.fields(people.later), seed=4)
    check(set(found) == {200}, "Other practices ask on and are answered.")
    said = desk.safelight("guard", "incidents")
    check("I0001" in said and THIEF in said and "I0002" not in said, "One incident is open, about that client.")
    camera.take("guard-clients", "/", 640)
    camera.take("guard-client", f"/clients/{THIEF}", 560)


def handled(
    desk: Desk, policy: Path, urls: tuple[str, str], keys: dict[str, str], url: str, people: clinic.Patients,
    camera: Camera,
) -> None:  # fmt: skip
    say("6. A person takes the incident further")

    def taken(to: str, note: str, *more: str) -> None:
        said = desk.safelight("guard", "incident", "I0001", "--to", to, "--by", WHO, "--note", note, *more, shown=0)
        check(f"I0001: {to}" in said, f"The incident is {to}: {note}.")

    taken("triaged", "near copies of the same patients, not how a practice asks", "--aware", "now", "--people", "20")
    draft = desk.safelight("guard", "incident", "I0001", "--draft", "gdpr33", shown=3)
    (desk.folder / "notification.md").write_text(draft)
    old = keys[THIEF]
    keys[THIEF] = clinic.new_keys()[THIEF]
    written(policy, urls, keys)
    some = clinic.fields(people.later)[:3]
    check(door.ask(url, old, some).status_code == 401, "The stolen key opens nothing any more.")
    taken("contained", "the key was changed")

    say("7. Back to the version that leaks less")
    known = states(desk)
    other = next(keys[client] for client in keys if not known.get(client))
    before = door.ask(url, other, some).json()["predictions"]
    desk.safelight("guard", "rollback", "--why", "version 2 gives away who was trained on")
    time.sleep(OBEYS)
    after = door.ask(url, other, some).json()["predictions"]
    own = door.ask(urls[0], None, some).json()["predictions"]
    near = max(abs(one - other) for row, raw in zip(after, own) for one, other in zip(row, raw))
    check(near <= 0.0051 and after != before, "The door answers as version 1 does, to two decimals.")
    camera.take("guard-models", "/models")
    taken("eradicated", "version 1 serves again")
    desk.safelight("guard", "release", THIEF)
    check(door.ask(url, keys[THIEF], some).status_code == 200, f"{THIEF} asks with its new key, and is answered.")
    taken("recovered", "the practice asks again")
    taken("closed", "told the practice and the data protection officer")
    camera.take("guard-incident", "/incidents/I0001", 760)


def checked(desk: Desk) -> None:
    said = desk.safelight("guard", "verify")
    check("The log is whole." in said, "Nobody changed the log.")
    copy = Desk(desk.folder / "forged")
    shutil.rmtree(copy.folder, ignore_errors=True)
    copy.folder.mkdir()
    for name in ("guard.toml", "guard.db", "guard.key"):
        shutil.copy(desk.folder / name, copy.folder)
    with sqlite3.connect(copy.folder / "guard.db") as forged:
        row, text = forged.execute("SELECT number, text FROM log WHERE text LIKE '%says the vendor%'").fetchone()
        forged.execute("UPDATE log SET text = ? WHERE number = ?", (text.replace("vendor", "audit"), row))
    copy.safelight("guard", "verify", ends=1)
    check(True, "Where somebody rewrites who forced version 2, in a copy, it shows.")


def written(policy: Path, urls: tuple[str, str], keys: dict[str, str]) -> None:
    """Write the policy with the watch in it; the running guard reads it again."""
    clinic.write_policy(policy, urls, keys, WATCH)
    time.sleep(OBEYS)


def states(desk: Desk) -> dict[str, str]:
    """Return what `safelight guard clients` says is done about each client: "" or "86399 s", "3599 s coarsen"."""
    lines = desk.safelight("guard", "clients", shown=0).splitlines()[1:]
    return {line.split()[0]: line[48:].strip() for line in lines}


def say(words: str) -> None:
    print(f"\n{words}", flush=True)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("clinic-guard"))
    parser.add_argument("--pictures", type=Path, default=None, help="folder for screenshots of the dashboard")
    asked = parser.parse_args()
    try:
        main(asked.folder, asked.pictures)
    except NotSo as trouble:
        sys.exit(str(trouble))
