"""The dashboard in a real browser over a real server: quarantine, release, what a stranger sees, accessibility."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from safelight.guard.alarm import Alarm
from safelight.guard.chain import Head
from safelight.guard.incidents import Incident, Incidents, Severity, Stage, joined
from safelight.guard.judge import Call, Step
from safelight.guard.policy import read_policy
from safelight.guard.registry.embedded import Embedded
from safelight.guard.registry.pointing import Move, Pointed
from safelight.guard.responses.approvals import Approval, Approvals, Word
from safelight.guard.store import Store

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
HOSTILE = '<img src=x onerror="document.title=1">'
TOKEN = "a-token-of-sixteen-or-more"
POLICY = """
[upstream]
url = "http://127.0.0.1:1"
protocol = "oip"
model = "diag@champion"
[[upstream.version]]
id = "1"
url = "http://127.0.0.1:1"
audit = "one.json"
[[upstream.version]]
id = "2"
url = "http://127.0.0.1:2"
audit = "two.json"
[[upstream.version]]
id = "3"
url = "http://127.0.0.1:3"
[[clients.key]]
id = "ward-3"
sha256 = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
cohort = "wards"
[budget]
per_day = 200
"""


def report(leaks: bool) -> str:
    """The parts of a report.json that versions are compared by."""
    status, low = ("leak", 0.7) if leaks else ("no leak found", 0.4)
    measured = [{"name": "auc", "value": low + 0.1, "low": low, "high": low + 0.2}]
    kind = {"code": "M001", "claim": "membership", "about": "records", "unit": "record", "adjacency": "add or remove"}
    policy = {"alpha": 0.05, "tolerate": 0.0, "look_for": 0.5}
    facts = {"schema_version": "1.3", "verdict": "leak" if leaks else "no leak found", "broken": "", "incomplete": ""}
    facts |= {"findings": [kind | {"status": status, "measured": measured}], "policy": policy, "kind": "table"}
    return json.dumps(facts | {"threat": {"access": "scores"}, "settings": {"M001": {}}})


class Served:
    """A running `safelight guard ui`, and the store that it shows."""

    def __init__(self, folder: Path) -> None:
        self.policy = folder / "guard.toml"
        self.policy.write_text(POLICY)
        (folder / "one.json").write_text(report(leaks=False))
        (folder / "two.json").write_text(report(leaks=True))
        self.store = Store.open(read_policy(self.policy).database)
        now = time.time()
        for client in ("ward-3", HOSTILE):
            self.store.decide(read_policy(self.policy), Call(client, "wards", "diag", now, 5, b"hash"))
        facts = {"signals": {"class ascent": 3.0, "distance from normal": 7.5}, "threshold": 6.0}
        facts["history"] = [[now - 600 + 60 * step, 0.75 * step] for step in range(11)]
        self.store.write("risk", "ward-3", facts, 0, what="risk", at=now)
        move = Move(now, "promote", "", "2", forced=True, why="to have something to roll back")
        Embedded(self.store).move("diag@champion", move, Pointed())
        alarm = Alarm("ward-3", "wards", "diag", now, "class ascent", 7.5, 6.0, 40)
        opened = Incident("", now - 80 * 3600, Severity.HIGH, "ward-3", "wards", playbook="default")
        Incidents(self.store).open(joined(opened, alarm, Head(3, "ab" * 32)))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [
            sys.executable,
            "-c",
            "from safelight.cli import run; run()",
            "guard",
            "ui",
            "--policy",
            str(self.policy),
        ]
        environment = {**os.environ, "UI_TOKEN": TOKEN}
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port), "--token-env", "UI_TOKEN"], env=environment, stderr=subprocess.PIPE
        )
        self.url = f"http://127.0.0.1:{self.port}"
        for _ in range(200):
            try:
                httpx.get(self.url + "/enter", timeout=1.0)
                break
            except httpx.TransportError:
                assert self.process.poll() is None, self.process.stderr.read().decode()
                time.sleep(0.05)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        self.process.stderr.close()
        self.store.close()

    def held(self, client: str) -> Step:
        return self.store.state(client).stands(time.time())


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    made = Served(tmp_path_factory.mktemp("ui"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A dashboard with much on it: 106 clients, 53 incidents, hundreds of rows, long names, many findings."""
    folder = tmp_path_factory.mktemp("full")
    made, now = Served(folder), time.time()
    one = json.loads(report(leaks=True))
    (kind,) = one["findings"]
    one["findings"] = [kind | {"code": f"M{number:03d}"} for number in range(1, 15)]
    one["settings"] = {each["code"]: {} for each in one["findings"]}
    (folder / "two.json").write_text(json.dumps(one))
    none = json.loads(report(leaks=False))
    none["findings"] = [none["findings"][0] | {"code": each["code"]} for each in one["findings"]]
    (folder / "one.json").write_text(json.dumps(none | {"settings": one["settings"]}))
    policy = read_policy(made.policy)
    for number in range(104):
        name = f"client-{number:03d}" if number % 7 else f"jwt:subject-{number}-" + "0123456789abcdef" * 4
        made.store.decide(policy, Call(name, "wards", "diag", now - number, 5, b"hash"))
    for number in range(52):
        Incidents(made.store).open(Incident("", now - 3600 * number, client=f"client-{number:03d}", playbook="default"))
    made.store.step("client-001", Step.QUARANTINE, now + 3600, now, by="Ada")
    made.store.step("client-002", Step.REFUSE, 1e10, now, by="Ada")
    made.store.note("store back", now, since=now - 60, calls=4, records=10, fail="closed")
    Incidents(made.store).decide("I0002", "Ada", now, aware=now - 30, notified={"gdpr33": now - 20})
    embedded = Embedded(made.store)
    embedded.move("diag@champion", Move(now, "rollback", "2", "1", why="it leaks"), embedded.read("diag@champion"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def browser():
    if BROWSER is None:
        warnings.warn("NO BROWSER: the dashboard was not clicked through; install Debian's chromium.", stacklevel=1)
        pytest.skip("no chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        sandbox = [] if os.geteuid() else ["--no-sandbox"]
        started = playwright.chromium.launch(executable_path=BROWSER, args=[*QUIET, *sandbox])
        yield started
        started.close()


@pytest.fixture
def page(served, browser):
    context = browser.new_context()
    opened = context.new_page()
    opened.set_default_timeout(10_000)
    opened.goto(served.url)
    opened.get_by_label("Your name, for the log").fill("Ada L")
    opened.get_by_label("Token").fill(TOKEN)
    opened.get_by_role("button", name="Sign in").click()
    yield opened
    context.close()


def test_quarantine_and_release_are_clicked_and_logged_with_the_name(served, page):
    page.get_by_role("button", name="Quarantine ward-3 for 60 minutes").click()
    assert "ward-3 is in quarantine for 60 minutes." in page.get_by_role("status").inner_text()
    assert served.held("ward-3") is Step.QUARANTINE
    page.get_by_role("button", name="Release ward-3").click()
    assert "ward-3 may ask again." in page.get_by_role("status").inner_text()
    assert served.held("ward-3") is Step.NONE
    page.get_by_role("link", name="Log").click()
    text = page.get_by_role("main").inner_text()
    assert "by Ada L" in text
    assert "The log is whole" in text
    assert served.store.verify()[1] == ""


def test_the_table_follows_without_a_reload(served, page):
    page.goto(served.url)
    assert page.get_by_text("in quarantine").count() == 0
    now = time.time()
    served.store.step("ward-3", Step.QUARANTINE, now + 60, now)
    page.get_by_text("in quarantine").wait_for()
    served.store.step("ward-3", Step.NONE, now, now)


def test_one_client_shows_its_signals_budget_and_rows(served, page):
    page.goto(served.url)
    page.get_by_role("link", name="ward-3").click()
    text = page.get_by_role("main").inner_text()
    assert "7.50" in text
    assert "above 6.00" in text
    assert "5 records today of 200" in text
    assert page.get_by_role("img", name="now 7.50").count() == 1
    page.get_by_label("Minutes").fill("7")
    page.get_by_role("button", name="Quarantine").click()
    assert "for 7 minutes" in page.get_by_role("status").inner_text()
    page.get_by_role("button", name="Release").click()


def test_an_incident_shows_its_clocks_and_goes_step_by_step(served, page):
    page.get_by_role("link", name="Incidents").click()
    assert "OVERDUE by 8 h" in page.get_by_role("row", name="I0001").inner_text()
    page.get_by_role("link", name="I0001").click()
    page.get_by_label("Note, for the log").fill("looked at it")
    page.get_by_role("button", name="Take the step").click()
    assert "I0001 is triaged." in page.get_by_role("status").inner_text()
    incident = Incidents(served.store).get("I0001")
    assert incident.stage is Stage.TRIAGED
    assert (incident.steps[-1]["by"], incident.steps[-1]["note"]) == ("Ada L", "looked at it")
    assert "2 d 23 h left" in page.get_by_role("main").inner_text()  # the clock runs from when a person was aware
    page.get_by_label("People concerned, an estimate").fill("12")
    page.get_by_role("button", name="Keep").click()
    page.get_by_role("button", name="Note it").click()
    assert "told in time" in page.get_by_role("main").inner_text()
    incident = Incidents(served.store).get("I0001")
    assert incident.people == 12
    assert list(incident.notified) == ["gdpr33"]


def test_an_incident_is_opened_by_hand_with_or_without_a_script(served, page, browser):
    page.get_by_role("link", name="Clients").click()
    page.get_by_role("link", name="ward-3").click()
    page.get_by_role("link", name="Open an incident").click()
    assert page.get_by_label("Clients, one a line").input_value() == "ward-3"
    assert page.get_by_label("Model").input_value() == "diag@champion"
    page.get_by_label("Severity").select_option("critical")
    page.get_by_label("Why, for the log (name no persons)").fill("odd questions, told by phone")
    page.get_by_role("button", name="Open the incident").click()
    assert "I0002 is open." in page.get_by_role("status").inner_text()
    found = Incidents(served.store).get("I0002")
    assert (found.client, found.cohort, found.severity) == ("ward-3", "wards", Severity.CRITICAL)
    assert (found.models, found.versions, found.scores["class ascent"]) == (("diag@champion",), ("2",), 3.0)
    assert (found.steps[0]["by"], found.steps[0]["note"]) == ("Ada L", "odd questions, told by phone")
    assert served.store.read("evidence", found.measures[0]["what"].removeprefix("evidence frozen: ")) is not None
    page.get_by_role("link", name="I0002").click()
    text = page.get_by_role("main").inner_text()
    assert "No alarm; a person opened it" in text
    assert "opened, by Ada L: odd questions, told by phone" in text
    assert "GDPR Art. 33(1), 72 hours: 2 d 23 h left" in text
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(f"{served.url}/enter?token={TOKEN}")
    plain.goto(f"{served.url}/incidents")
    plain.get_by_text("Open an incident by hand").click()
    plain.get_by_label("Clients, one a line").fill(f"ward-3\n{HOSTILE}\n")
    plain.get_by_label("Why, for the log (name no persons)").fill("two of a kind")
    plain.get_by_role("button", name="Open the incident").click()
    assert Incidents(served.store).get("I0003").clients == ("ward-3", HOSTILE)
    plain.get_by_text("Open an incident by hand").click()
    plain.get_by_label("Clients, one a line").fill("nobody")
    plain.get_by_label("Why, for the log (name no persons)").fill("?")
    plain.get_by_role("button", name="Open the incident").click()
    assert "There is no client 'nobody'" in plain.get_by_role("alert").inner_text()
    context.close()
    assert served.store.verify()[1] == ""


def test_what_waits_for_a_word_is_approved_and_done(served, page):
    wanted = Approval("", "quarantine", ("ward-3",), "diag", 30.0, "class ascent", 1, 2, time.time())
    Approvals(served.store).ask(wanted)
    Approvals(served.store).ask(replace(wanted, clients=tuple("abcdefghi")))
    page.get_by_role("link", name="Incidents").click()
    assert "quarantine of ward-3" in page.get_by_role("row", name="A0001").inner_text()
    assert "quarantine of a, b, c, d, e, f, g, h and 1 more" in page.get_by_role("row", name="A0002").inner_text()
    page.get_by_role("button", name="Approve A0001").click()
    assert "A0001 is approved; done: quarantine for 1 client." in page.get_by_role("status").inner_text()
    assert served.held("ward-3") is Step.QUARANTINE
    page.get_by_role("button", name="Refuse A0002").click()
    assert "A0002 is refused" in page.get_by_role("status").inner_text()
    assert [each.word for each in Approvals(served.store).all()] == [Word.APPROVED, Word.REFUSED]
    served.store.step("ward-3", Step.NONE, time.time(), time.time())


def test_rollback_is_clicked_and_only_to_an_audit_as_good(served, page):
    page.get_by_role("link", name="Models").click()
    rows = page.get_by_role("row")
    assert "serves" in rows.filter(has_text="two.json").inner_text()
    assert "without an audit" in rows.filter(has_text="http://127.0.0.1:3").inner_text()
    page.get_by_label("Why, for the log").fill("it leaks")
    page.get_by_role("button", name="Roll back").click()
    assert "Version 1 serves now, after 2." in page.get_by_role("status").inner_text()
    assert "worse" in rows.filter(has_text="two.json").inner_text()
    assert "it leaks (by Ada L)" in page.get_by_role("main").inner_text()
    page.get_by_label("Why, for the log").fill("again")
    page.get_by_role("button", name="Roll back").click()
    assert "No earlier version" in page.get_by_role("alert").inner_text()
    assert Embedded(served.store).look("diag@champion") == "1"


def test_what_a_client_calls_itself_is_text(served, page):
    page.goto(served.url)
    assert page.get_by_text(HOSTILE).count() == 1
    page.wait_for_timeout(300)
    assert page.title() == "Clients - Safelight guard"


@pytest.mark.parametrize(
    "path", ["/", "/clients/ward-3", "/incidents", "/incidents/I0001", "/models", "/drift", "/log"]
)
def test_no_serious_finding_of_axe(served, page, path):
    from axe_playwright_python.sync_playwright import Axe

    page.goto(served.url + path)
    found = Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []


def test_it_reads_and_acts_without_a_script(served, browser):
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(f"{served.url}/enter?token={TOKEN}")
    plain.get_by_role("button", name="Quarantine ward-3 for 60 minutes").click()
    assert served.held("ward-3") is Step.QUARANTINE
    plain.get_by_role("button", name="Release ward-3").click()
    assert served.held("ward-3") is Step.NONE
    context.close()


@pytest.fixture(scope="module")
def narrow(full, browser):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 400, "height": 800})
    opened = context.new_page()
    opened.set_default_timeout(10_000)
    opened.goto(f"{full.url}/enter?token={TOKEN}")
    yield opened
    context.close()


LONG = "/clients/jwt:subject-0-" + "0123456789abcdef" * 4
ALL = [
    "/",
    "/?page=3",
    LONG,
    "/incidents",
    "/incidents/I0002",
    "/models",
    "/drift",
    "/log",
    "/log?before=120",
    "/enter",
]


@pytest.mark.parametrize("path", ALL)
def test_nothing_hangs_over_a_narrow_screen(full, narrow, path):
    narrow.goto(full.url + path)
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 400
    cut = "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > 401"
    assert narrow.evaluate(cut + " && !e.closest('.scroll') && !e.closest('.skip')).map(e => e.outerHTML)") == []


@pytest.mark.parametrize("path", ["/?page=2", "/incidents?about=client-001", "/models"])
def test_no_serious_finding_of_axe_where_there_is_much(full, browser, path):
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context()
    opened = context.new_page()
    opened.goto(f"{full.url}/enter?token={TOKEN}")
    opened.goto(full.url + path)
    found = Axe().run(opened).response["violations"]
    context.close()
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []


def test_lists_are_turned_page_by_page_without_a_script(full, narrow):
    seen = []
    narrow.goto(full.url)
    for words in ("1 to 50 of 106", "51 to 100 of 106", "101 to 106 of 106"):
        turns = narrow.get_by_role("navigation", name="Pages of this list")
        assert words in turns.inner_text()
        seen += narrow.get_by_role("rowheader").all_inner_texts()
        if "101" not in words:
            turns.get_by_role("link", name="Next").click()
    assert len(seen) == len(set(seen)) == 106
    assert {"client-001", "client-002"} == set(seen[:2])  # those held first
    name = seen[100]
    narrow.get_by_role("button", name=f"Quarantine {name} for 60 minutes").click()
    assert narrow.url.startswith(f"{full.url}/?page=3&told=")
    full.store.step(name, Step.NONE, time.time(), time.time())
    narrow.goto(f"{full.url}/?page=99")
    assert "101 to 106" in narrow.get_by_role("navigation", name="Pages of this list").inner_text()
    narrow.goto(f"{full.url}/incidents")
    narrow.get_by_role("link", name="Next").click()
    assert narrow.get_by_role("rowheader").count() == 3
    narrow.goto(f"{full.url}/incidents?page=2&told=x")
    assert narrow.get_by_role("link", name="Before").get_attribute("href") == "?page=1"


def test_the_log_is_read_to_its_first_row_with_times_that_programs_read(full, narrow):
    head, numbers = full.store.head().rows, []
    narrow.goto(f"{full.url}/log")
    assert "The log is whole" in narrow.get_by_role("main").inner_text()
    for _ in range(20):
        numbers += [int(text) for text in narrow.locator("td[data-label=Row]").all_inner_texts()]
        assert not re.search(r"\d{10}\.\d|\b1[78]\d{8}\b", narrow.get_by_role("main").inner_text())
        older = narrow.get_by_role("link", name="Older")
        if not older.count():
            break
        older.click()
    assert numbers == list(range(head, 0, -1))
    narrow.get_by_role("link", name="Newest").click()
    row = narrow.get_by_role("row").filter(has_text="store back")
    whens = [each.get_attribute("datetime") for each in row.locator("time").all()]
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", each) for each in whens)
    assert len(whens) == 2  # when it was, and since when
    told = narrow.get_by_role("row").filter(has_text="incident facts").inner_text()
    assert re.search(r"aware 20\d\d-.*notified \(gdpr33 20\d\d-", told)
    assert "until for good" in narrow.get_by_role("row").filter(has_text="refuse").inner_text()


def test_a_long_list_of_findings_folds(full, narrow):
    narrow.goto(f"{full.url}/models")
    row = narrow.get_by_role("row").filter(has_text="two.json")
    assert "14 leaks" in row.inner_text()
    assert "M014" not in row.inner_text()
    row.locator("summary").click()
    assert "M014" in row.inner_text()


@contextmanager
def entered(served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url) as client:
        assert client.get("/enter", params={"token": TOKEN}).status_code == 303
        yield client


def word_of(client: httpx.Client) -> str:
    return re.search(r'name="word" value="([0-9a-f]+)"', client.get("/").text)[1]


def test_who_does_not_stand_out_is_watched_where_there_is_a_reference(served):
    try:
        for signals, row, page in (
            ("", "not watched", "Nothing watches sequences of calls."),
            ('[signals]\nreference = "calibration.npz"\n', "nothing stands out", "Nothing stands out in this client"),
        ):
            served.policy.write_text(POLICY + signals)
            with entered(served) as client:
                rows = client.get("/").text
                assert rows.count(row) == 1  # of two clients, one stands out
                assert page in client.get("/clients/" + quote(HOSTILE, safe="")).text
    finally:
        served.policy.write_text(POLICY)


def test_a_stranger_sees_the_door_and_nothing_else(served):
    for path in ("/", "/clients/ward-3", "/incidents", "/incidents/I0001", "/models", "/drift", "/log"):
        answer = httpx.get(served.url + path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/enter")
    assert httpx.post(served.url + "/quarantine", data={"client": "ward-3"}).status_code == 403
    about = {"clients": "ward-3", "why": "a stranger says so"}
    assert httpx.post(served.url + "/incidents/open", data=about).status_code == 403
    assert httpx.get(served.url + "/enter", params={"token": "guess"}).status_code == 403
    assert httpx.get(served.url, cookies={"safelight": "0" * 64}).status_code == 303


def test_a_form_of_another_site_does_nothing(served):
    with entered(served) as client:
        fields = {"client": "ward-3", "minutes": "60", "word": word_of(client)}
        before = len(Incidents(served.store).all())
        for forged, headers in (
            (fields | {"word": "0" * 64}, {}),
            ({"client": "ward-3"}, {}),
            (fields, {"origin": "http://evil.example"}),
            (fields, {"sec-fetch-site": "cross-site"}),
        ):
            assert client.post("/quarantine", data=forged, headers=headers).status_code == 403
            about = forged | {"clients": "ward-3", "why": "another page says so"}
            assert client.post("/incidents/open", data=about, headers=headers).status_code == 403
        assert len(Incidents(served.store).all()) == before
        assert served.held("ward-3") is Step.NONE
        headers = client.get("/").headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]


def test_another_name_for_this_server_is_not_answered(served):
    assert httpx.get(served.url, headers={"host": "evil.example"}).status_code == 421


def test_the_way_back_stays_here(served):
    with entered(served) as client:
        for back in ("//evil.example", "/\\evil.example", "https://evil.example"):
            fields = {"client": "ward-3", "word": word_of(client), "back": back}
            answer = client.post("/release", data=fields)
            assert answer.headers["location"].startswith("/?told=")


def test_mistakes_are_said_on_the_page(served):
    with entered(served) as client:
        fields = {"client": "ward-3", "minutes": "-1", "word": word_of(client)}
        page = client.post("/quarantine", data=fields, follow_redirects=True).text
        assert "give a number above 0, such as 60." in page
        assert client.get("/clients/nobody").status_code == 404
