"""Alerts reach real servers on this machine, are signed, follow no redirect, delay no answer, and are counted."""

import hmac
import json
import threading
import time
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from safelight.errors import InputError
from safelight.guard.alerts.alertmanager import NEVER, api_v2, webhook_v4
from safelight.guard.alerts.mail import written
from safelight.guard.alerts.message import Message
from safelight.guard.alerts.post import Undelivered
from safelight.guard.alerts.sender import Sender, deliver
from safelight.guard.alerts.settings import AlertRoute, Channel, read_alerts
from safelight.guard.alerts.webhook import genuine, signed
from safelight.guard.policy import read_policy

START = 1_800_000_000.0
FIRING = Message(
    key="k",
    resolved=False,
    start=START,
    end=None,
    signal="class-ascent",
    severity="high",
    model="diag",
    scope="client",
    guard="0a1b2c3d",
    incident="I0001",
    client="ward-3",
    cohort="wards",
    done=("quarantine",),
)
OVER = replace(FIRING, resolved=True, end=START + 60)


class Receiver:
    """A real HTTP server that keeps what it gets."""

    def __init__(self):
        self.got, self.status, self.delay, self.location = [], [200], 0.0, None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                time.sleep(receiver.delay)
                status = receiver.status.pop(0) if len(receiver.status) > 1 else receiver.status[0]
                receiver.got.append((self.path, dict(self.headers), body))
                self.send_response(status)
                if receiver.location:
                    self.send_header("location", receiver.location)
                self.send_header("content-length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *words):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def receiver():
    one = Receiver()
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture
def post_office():
    """A real SMTP server."""

    class Keeps:
        def __init__(self):
            self.mails = []

        async def handle_DATA(self, server, session, envelope):
            if "refused@example.org" in envelope.rcpt_tos:
                return "550 no"
            self.mails.append(envelope)
            return "250 OK"

    def known(server, session, envelope, mechanism, data):
        return AuthResult(success=(data.login, data.password) == (b"guard", b"secret"), handled=False)

    keeps = Keeps()
    controller = Controller(keeps, "127.0.0.1", 0, authenticator=known, auth_require_tls=False)
    with suppress(OSError):  # it looks at port 0 whether it is there, and is at another
        controller.start()
    yield keeps, controller.server.sockets[0].getsockname()[1]
    controller.stop()


# What they say -------------------------------------------------------------------------------------------------------


def test_the_json_of_version_4_has_every_field_that_alertmanager_sends():
    firing, over = webhook_v4(FIRING), webhook_v4(OVER)
    assert set(firing) == {
        "version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels",
        "commonAnnotations", "externalURL", "alerts",
    }  # fmt: skip
    (alert,) = firing["alerts"]
    assert set(alert) == {"status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"}
    assert (firing["version"], firing["status"], alert["status"]) == ("4", "firing", "firing")
    assert (alert["startsAt"], alert["endsAt"]) == ("2027-01-15T08:00:00.000Z", NEVER)
    assert (over["status"], over["alerts"][0]["endsAt"]) == ("resolved", "2027-01-15T08:01:00.000Z")
    assert alert["fingerprint"] == over["alerts"][0]["fingerprint"]
    assert len(alert["fingerprint"]) == 16
    assert alert["labels"] == over["alerts"][0]["labels"]  # else Alertmanager takes it for another alert
    assert all(isinstance(value, str) for value in {**alert["labels"], **alert["annotations"]}.values())
    assert webhook_v4(replace(FIRING, key="other"))["alerts"][0]["fingerprint"] != alert["fingerprint"]


def test_the_api_of_alertmanager_gets_an_end_only_when_it_is_over():
    assert "endsAt" not in api_v2(FIRING)[0]
    assert api_v2(OVER)[0]["endsAt"] == "2027-01-15T08:01:00.000Z"
    assert api_v2(OVER)[0]["labels"] == api_v2(FIRING)[0]["labels"]


def test_clients_are_named_only_where_the_route_says_so(tmp_path):
    for told, names in ((True, ["ward-3", "wards"]), (False, [])):
        route = AlertRoute(Channel.FILE, clients=told, path=f"{told}.jsonl")
        deliver(route, FIRING, tmp_path)
        deliver(route, OVER, tmp_path)
        text = (tmp_path / f"{told}.jsonl").read_text()
        assert [name for name in ("ward-3", "wards") if name in text] == names
        assert [json.loads(line)["resolved"] for line in text.splitlines()] == [False, True]
        assert (tmp_path / f"{told}.jsonl").stat().st_mode & 0o077 == 0


# How they go ---------------------------------------------------------------------------------------------------------


def test_they_reach_http_servers_and_signatures_hold(receiver, monkeypatch):
    monkeypatch.setenv("TOKEN", "word")
    monkeypatch.setenv("SECRET", "key")
    deliver(AlertRoute(Channel.ALERTMANAGER, url=receiver.url + "/", token_env="TOKEN"), FIRING, Path())
    deliver(AlertRoute(Channel.RECEIVER, url=receiver.url + "/hook"), FIRING, Path())
    deliver(AlertRoute(Channel.WEBHOOK, url=receiver.url + "/own", secret_env="SECRET"), FIRING, Path())
    (first, second, third) = receiver.got
    assert first[0] == "/api/v2/alerts"
    assert first[1]["authorization"] == "Bearer word"
    assert json.loads(first[2])[0]["labels"]["incident"] == "I0001"
    assert (second[0], json.loads(second[2])["version"]) == ("/hook", "4")
    header = third[1]["x-safelight-signature"]
    now = time.time()
    assert genuine("key", header, third[2], now)
    assert not genuine("key", header, third[2] + b" ", now)
    assert not genuine("other", header, third[2], now)
    assert not genuine("key", header, third[2], now + 301)
    for bad in ("", "t=", "t=x,v1=", "t=1", header + "0", "t=" + "9" * 99 + ",v1=0"):
        assert not genuine("key", bad, third[2], now)
    assert signed("key", 1, b"a") == "t=1,v1=" + hmac.digest(b"key", b"1.a", "sha256").hex()


def test_no_redirect_is_followed_and_only_2xx_is_arrival(receiver):
    route = AlertRoute(Channel.RECEIVER, url=receiver.url + "/hook")
    for status in (301, 302, 303, 307, 308, 400, 500):
        receiver.status, receiver.location = [status], receiver.url + "/inside"
        with pytest.raises(Undelivered, match=f"its answer was {status}"):
            deliver(route, FIRING, Path())
    assert {path for path, _, _ in receiver.got} == {"/hook"}
    with pytest.raises(Undelivered, match="ConnectError"):
        deliver(AlertRoute(Channel.RECEIVER, url="http://127.0.0.1:1/"), FIRING, Path())


def test_proxies_of_the_environment_are_not_asked(receiver, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    deliver(AlertRoute(Channel.RECEIVER, url=receiver.url), FIRING, Path())
    assert len(receiver.got) == 1


def test_mail_arrives_and_a_refused_address_does_not(post_office, monkeypatch):
    keeps, port = post_office
    monkeypatch.setenv("PASSWORD", "secret")
    route = AlertRoute(Channel.MAIL, host="127.0.0.1", port=port, starttls=False, sender="guard@example.org",
                       to=("a@example.org", "b@example.org"), user="guard", password_env="PASSWORD")  # fmt: skip
    deliver(route, FIRING, Path())
    (mail,) = keeps.mails
    text = mail.content.decode()
    assert mail.rcpt_tos == ["a@example.org", "b@example.org"]
    assert "Subject: HIGH: I0001 of the guard: class-ascent of one client at model diag" in text
    assert "safelight guard incident I0001" in text
    assert "ward-3" not in text
    for bad in (replace(route, to=("refused@example.org",)), replace(route, starttls=True), replace(route, port=1)):
        with pytest.raises(Undelivered):
            deliver(bad, FIRING, Path())
    monkeypatch.setenv("PASSWORD", "wrong")
    with pytest.raises(Undelivered, match="SMTPAuthenticationError"):
        deliver(route, FIRING, Path())
    assert len(keeps.mails) == 1


def test_line_breaks_make_no_headers():
    route = AlertRoute(Channel.MAIL, host="h", sender="guard@example.org", to=("a@example.org",))
    mail = written(route, replace(FIRING, model="diag\r\nBcc: thief@example.org"))
    assert mail["Bcc"] is None
    assert "Bcc: thief" in mail["Subject"]


# Beside the answers --------------------------------------------------------------------------------------------------


class Lost(list):
    def __call__(self, kind, message, why):
        self.append((kind, why))


def sender_for(routes, **more):
    lost = Lost()
    return Sender(lambda: (routes, Path()), lost, **{"waits": (0.01, 0.01), **more}), lost


def until(happened):
    for _ in range(500):
        if happened():
            return
        time.sleep(0.01)
    raise AssertionError


def test_it_tries_again_and_then_counts_the_loss(receiver):
    sender, lost = sender_for((AlertRoute(Channel.RECEIVER, url=receiver.url),))
    receiver.status = [500, 500, 200]
    sender.send(FIRING)
    until(lambda: len(receiver.got) == 3)
    receiver.status = [500]
    sender.send(FIRING)
    until(lambda: lost)
    sender.close()
    assert lost == [("receiver", "its answer was 500")]
    assert len(receiver.got) == 6


def test_a_slow_receiver_delays_no_answer_and_no_other_channel(receiver, tmp_path):
    receiver.delay = 0.5
    slow, quick = (
        AlertRoute(Channel.RECEIVER, url=receiver.url),
        AlertRoute(Channel.FILE, path=str(tmp_path / "a.jsonl")),
    )
    sender, lost = sender_for((slow, quick), room=5)
    start = time.perf_counter()
    for _ in range(20):
        sender.send(FIRING)
        time.sleep(0.002)
    assert time.perf_counter() - start < 0.4  # far below the 10 seconds of 20 posts
    until(lambda: len((tmp_path / "a.jsonl").read_text().splitlines()) == 20)
    full = [why for _, why in lost]
    assert set(full) == {"too many alerts wait"}
    assert len(full) in (14, 15)  # one on its way, five wait
    sender.close(patience=0.05)
    assert len(lost) >= 18  # those that the end cut off are counted too


def test_all_that_waits_is_sent_at_the_end(receiver):
    sender, lost = sender_for((AlertRoute(Channel.RECEIVER, url=receiver.url),))
    for _ in range(5):
        sender.send(FIRING)
    sender.close()
    assert (len(receiver.got), lost) == (5, [])
    sender.send(OVER)  # it opens again
    sender.close()
    assert len(receiver.got) == 6


def test_channels_that_are_no_longer_named_end(receiver):
    routes = [AlertRoute(Channel.RECEIVER, url=receiver.url)]
    sender, _ = sender_for(routes)
    sender.send(FIRING)
    (thread,) = sender._threads
    routes.clear()
    sender.send(FIRING)
    thread.join(5)
    assert not thread.is_alive()
    assert len(receiver.got) == 1


# The file ------------------------------------------------------------------------------------------------------------

HEAD = '[upstream]\nurl = "http://127.0.0.1:1"\nprotocol = "oip"\n'
WHOLE = """
[[alerts]]
kind = "alertmanager"
url = "http://127.0.0.1:9093"
[[alerts]]
kind = "webhook"
url = "https://example.org/hook?team=1"
secret_env = "SECRET"
clients = true
[[alerts]]
kind = "mail"
host = "mail.example.org"
sender = "guard@example.org"
to = ["ops@example.org"]
"""


def test_the_tables_of_guard_toml_are_read(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "key")
    (tmp_path / "guard.toml").write_text(HEAD + WHOLE)
    one, two, three = read_policy(tmp_path / "guard.toml").alerts
    assert (one.kind, one.clients) == (Channel.ALERTMANAGER, False)
    assert (two.kind, two.clients, two.secret("secret_env")) == (Channel.WEBHOOK, True, "key")
    assert (three.port, three.starttls, three.to) == (25, True, ("ops@example.org",))


@pytest.mark.parametrize(
    ("entry", "trouble"),
    [
        ({}, "alert 1 needs the key 'kind'; use one of alertmanager, receiver, webhook, mail, file"),
        ({"kind": "pager"}, "kind is 'pager'; use one of"),
        ({"kind": "file", "paht": "x"}, r"unknown key 'paht'. Did you mean 'path'\?"),
        ({"kind": "file"}, "file needs 'path'"),
        ({"kind": "file", "path": "x", "url": "http://x"}, "file has no 'url'; it has clients, path"),
        (
            {"kind": "receiver", "url": "file:///etc/passwd"},
            r"url is 'file:///etc/passwd'; write http\(s\)://host/path",
        ),
        ({"kind": "receiver", "url": "http://me:pw@x/"}, "with no password in it"),
        ({"kind": "webhook", "url": "http://x"}, "webhook needs 'secret_env'"),
        ({"kind": "webhook", "url": "http://x", "secret_env": "NOT_SET"}, "variable NOT_SET of an alert .* is empty"),
        ({"kind": "mail", "host": "h", "sender": "a@b", "to": []}, "mail needs 'to'"),
        (
            {"kind": "mail", "host": "h", "sender": "a@b", "to": ["c@d"], "user": "u"},
            "user and password_env go together",
        ),
        ({"kind": "mail", "host": "h", "sender": "a@b", "to": ["c@d"], "port": 0}, "port is 0; it must be at least 1"),
    ],
)
def test_what_is_wrong_is_said(entry, trouble):
    with pytest.raises(InputError, match=trouble):
        read_alerts([entry], "guard.toml")


def test_a_table_that_is_no_list_is_said():
    with pytest.raises(InputError, match=r"write \[\[alerts\]\] before each"):
        read_alerts({"kind": "file"}, "guard.toml")


def test_a_secret_that_went_is_a_lost_alert_and_no_crash(receiver, monkeypatch):
    monkeypatch.setenv("SECRET", "key")
    (route,) = read_alerts([{"kind": "webhook", "url": receiver.url, "secret_env": "SECRET"}], "guard.toml")
    monkeypatch.delenv("SECRET")
    with pytest.raises(Undelivered, match="SECRET of an alert"):
        deliver(route, FIRING, Path())
    assert receiver.got == []
