"""Clients by key, token and certificate: a real issuer with an address for its keys, real TLS, a named terminator."""

import base64
import datetime
import hashlib
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from safelight.errors import InputError
from safelight.guard.identity import keyset
from safelight.guard.identity.certificates import Malformed, names_of, told
from safelight.guard.identity.client import EVERYONE, Client
from safelight.guard.identity.door import Door
from safelight.guard.identity.keyset import keys_in
from safelight.guard.identity.once import is_first_use
from safelight.guard.policy import read_policy
from safelight.guard.store import Store

NOW = 1_800_000_000.0
HEAD = '[upstream]\nurl = "http://127.0.0.1:1"\nprotocol = "mlflow"\n'
DIGEST = hashlib.sha256(b"pass-word").hexdigest()
WARD = f'[[clients.key]]\nid = "ward-3"\nsha256 = "{DIGEST}"\ncohort = "wards"\n'
ISSUER, AUDIENCE = "https://id.example", "safelight"
RSA = rsa.generate_private_key(65537, 2048)
CURVE = ec.generate_private_key(ec.SECP256R1())
CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": NOW + 60, "iat": NOW, "team": "wards"}


def public(key, name, **more) -> dict:
    kind = {rsa.RSAPrivateKey: "RS256", ec.EllipticCurvePrivateKey: "ES256", ed25519.Ed25519PrivateKey: "EdDSA"}
    algorithm = next(word for each, word in kind.items() if isinstance(key, each))
    made = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": name, **more}


def token(key=RSA, name="one", algorithm="RS256", headers=None, **claims) -> str:
    held = {key: value for key, value in (CLAIMS | claims).items() if value is not None}
    return jwt.encode(held, key, algorithm=algorithm, headers={"kid": name, **(headers or {})})


class Issuer:
    """The address where an identity provider shows its keys."""

    def __init__(self) -> None:
        self.keys, self.asked, self.status = [public(RSA, "one"), public(CURVE, "two", alg="ES256")], 0, 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                self.send_response(outer.status)
                if outer.status == 302:
                    self.send_header("location", "/keys")
                self.end_headers()
                self.wfile.write(json.dumps({"keys": outer.keys}).encode())

            def log_message(self, *words: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/keys"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def issuer():
    made = Issuer()
    yield made
    made.server.shutdown()
    made.server.server_close()


class AtTheDoor:
    """A door by a policy, and who it says is there."""

    def __init__(self, folder: Path, text: str) -> None:
        self.now, self.said = NOW, []
        self.path = folder / "guard.toml"
        self.path.write_text(HEAD + text)
        self.policy = read_policy(self.path)
        self.door = Door(b"secret" * 6, lambda: self.now, self.said.append)
        self.door.take(self.policy)
        self.door.wait()

    def who(self, bearer: str = "", *more: tuple[bytes, bytes], **scope) -> str | None:
        headers = [(b"authorization", f"Bearer {bearer}".encode("latin-1"))] if bearer else []
        client = self.door.client_of(self.policy, {"headers": [*headers, *more], **scope})
        return client and client.id


@pytest.fixture
def at_the_door(tmp_path):
    made = []

    def make(text: str) -> AtTheDoor:
        made.append(AtTheDoor(tmp_path, text))
        return made[-1]

    yield make
    for each in made:
        each.door.close()


def jwt_table(jwks: str, **more) -> str:
    table = {"issuer": ISSUER, "audience": AUDIENCE, "jwks": jwks, **more}
    return "[clients.jwt]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())


# Keys ----------------------------------------------------------------------------------------------------------------


def test_keys_are_found_by_a_hash_that_only_the_guard_can_compute(at_the_door):
    here = at_the_door(WARD)
    assert here.who("pass-word") == "ward-3"
    assert here.who(DIGEST) is None
    assert here.who() is None
    assert here.who("pass-word", (b"Authorization", b"pass-word")) is None
    held = list(here.door._ring)
    assert bytes.fromhex(DIGEST) not in held  # neither the key nor its plain hash is what is looked up
    other = Door(b"another secret of it", here.door.clock, here.door.say)
    other.take(here.policy)
    assert not set(held) & set(other._ring)


def test_without_clients_all_are_one(at_the_door):
    here = at_the_door("")
    assert here.who() == here.who("anything") == EVERYONE.id


# Tokens --------------------------------------------------------------------------------------------------------------


def test_a_genuine_token_is_its_subject(at_the_door, issuer):
    here = at_the_door(WARD + jwt_table(issuer.url, cohort_claim="team"))
    assert here.who(token()) == "jwt:alice"
    assert here.who(token(CURVE, "two", "ES256")) == "jwt:alice"
    assert here.who("pass-word") == "ward-3"  # a key still works beside it
    found = here.door.client_of(here.policy, {"headers": [(b"authorization", b"Bearer " + token().encode())]})
    assert found == Client("jwt:alice", "wards")
    lone = token(team=None)
    assert here.door.client_of(here.policy, {"headers": [(b"authorization", lone.encode())]}) == Client("jwt:alice")


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - 31},
        {"exp": None},
        {"exp": True},
        {"exp": 1e400},
        {"exp": "1900000000"},
        {"nbf": NOW + 31},
        {"iat": NOW + 31},
        {"iss": "https://id.example/"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"sub": "a" * 201},
        {"sub": "a\nwhat: release"},
        {"sub": "\u202egp.exe"},
        {"sub": "\x1b[2J"},
        {"team": ["wards", "admins"]},
        {"team": "\n"},
    ],
)
def test_a_token_that_is_over_meant_for_others_or_badly_named_is_nobody(at_the_door, issuer, claims):
    here = at_the_door(jwt_table(issuer.url, cohort_claim="team"))
    key, name = RSA, "one"
    try:
        made = token(key, name, **claims)
    except (TypeError, ValueError):  # the library signs no such claims: sign them by hand
        made = signed({**CLAIMS, **claims})
    assert here.who(made) is None
    assert here.who(token()) == "jwt:alice"


def test_clocks_may_differ_by_the_leeway_and_no_more(at_the_door, issuer):
    here = at_the_door(jwt_table(issuer.url, leeway=10))
    assert here.who(token(exp=NOW - 9, nbf=NOW + 9, iat=NOW + 9)) == "jwt:alice"
    assert here.who(token(exp=NOW - 10)) is None
    assert here.who(token(nbf=NOW + 11)) is None


def part(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def signed(claims: dict, head: dict | None = None, key=RSA) -> str:
    text = part(json.dumps({"alg": "RS256", "kid": "one", **(head or {})}).encode()) + b"."
    text += part(json.dumps(claims).encode())
    from cryptography.hazmat.primitives.asymmetric import padding

    return (text + b"." + part(key.sign(text, padding.PKCS1v15(), hashes.SHA256()))).decode()


def test_forged_tokens_are_nobody(at_the_door, issuer):
    here = at_the_door(jwt_table(issuer.url, algorithms=["RS256", "ES256"]))
    assert here.who(signed(CLAIMS)) == "jwt:alice"  # what is forged below differs in one thing each
    pem = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    head, body, signature = token().split(".")
    mallory = rsa.generate_private_key(65537, 2048)
    other = part(json.dumps({**CLAIMS, "sub": "bob"}).encode()).decode()
    import hmac

    def by_secret(secret: bytes, algorithm: str) -> str:
        text = part(json.dumps({"alg": algorithm, "kid": "one"}).encode()) + b"." + part(json.dumps(CLAIMS).encode())
        return (text + b"." + part(hmac.digest(secret, text, "sha256"))).decode()

    forged = [
        part(json.dumps({"alg": "none", "kid": "one"}).encode()).decode() + f".{body}.",
        part(json.dumps({"alg": "None", "kid": "one"}).encode()).decode() + f".{body}.{signature}",
        by_secret(pem, "HS256"),  # a public key for a secret
        by_secret(b"", "HS256"),
        by_secret(pem, "RS256"),
        f"{head}.{other}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-4]}AAAA",
        token(mallory),
        token(mallory, headers={"jwk": public(mallory, "one")}),  # brings its own key
        token(mallory, headers={"jku": issuer.url, "x5u": issuer.url}),
        signed(CLAIMS, {"crit": ["exp2"], "exp2": 1}),
        signed(CLAIMS, {"kid": "two"}),  # the key of another algorithm
        signed(CLAIMS, {"kid": None}),
        signed(CLAIMS, {"kid": "../one"}),
        signed(CLAIMS, {"alg": "RS512"}),
        signed(CLAIMS, {"alg": ["RS256"]}),
        token(RSA, algorithm="PS256"),
        "a.b.c",
        "..",
        "." * 20000,
        token()[:-1] + "\xff",
    ]
    assert [here.who(each) for each in forged] == [None] * len(forged)


def test_keys_are_looked_at_again_in_the_background_and_never_by_a_question(at_the_door, issuer, monkeypatch):
    monkeypatch.setattr(keyset, "COOL", 0.05)
    here = at_the_door(jwt_table(issuer.url, refresh=10))
    newer = ec.generate_private_key(ec.SECP256R1())
    issuer.keys = [public(newer, "three")]
    made = token(newer, "three", "ES256")
    started = time.perf_counter()
    assert here.who(made) is None  # not known yet: its name has the keys looked at soon
    assert time.perf_counter() - started < 0.05
    until = time.monotonic() + 5
    while here.who(made) is None and time.monotonic() < until:
        time.sleep(0.02)
    assert here.who(made) == "jwt:alice"
    assert here.who(token()) is None  # the old key was taken back
    issuer.status = 302
    before = issuer.asked
    for _ in range(200):
        here.who(token(newer, "made-up", "ES256"))
    time.sleep(0.3)
    assert 1 <= issuer.asked - before <= 8  # made-up names ask for few looks, and a redirect is not followed
    assert here.who(made) == "jwt:alice"  # what was known stays while the address fails
    assert any("status 302" in words for words in here.said)


def test_keys_from_a_file_follow_it(at_the_door, tmp_path):
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [public(RSA, "one")]}))
    here = at_the_door(jwt_table("keys.json"))
    assert here.who(token()) == "jwt:alice"
    (tmp_path / "keys.json").write_text("{}")
    assert here.who(token()) is None
    assert here.who(token()) is None
    assert len(here.said) == 1
    assert "holds no keys that can be used" in here.said[0]
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [public(RSA, "one")]}))
    assert here.who(token()) == "jwt:alice"


def test_a_key_set_holds_public_signing_keys_only():
    small = rsa.generate_private_key(65537, 1024)
    found = keys_in(
        json.dumps(
            {"keys": [public(RSA, "a"), public(RSA, "b", use="enc"), {"kty": "oct", "k": "AAAA", "kid": "c"}, "x",
                      public(small, "d")]}
        ).encode()
    )  # fmt: skip
    assert set(found) == {"a", "d"}
    for wrong in (b"[]", b"{", b'{"keys": 3}', json.dumps({"keys": [public(RSA, "a")] * 2}).encode(), b" " * 2**21):
        with pytest.raises(ValueError):
            keys_in(wrong)


def test_a_token_that_was_taken_is_taken_until_it_ends_and_no_longer(at_the_door, issuer, monkeypatch):
    here = at_the_door(jwt_table(issuer.url, leeway=5))
    made = token()
    checked = []
    real = jwt.decode_complete
    monkeypatch.setattr(jwt, "decode_complete", lambda *words, **more: checked.append(1) or real(*words, **more))
    assert [here.who(made) for _ in range(5)] == ["jwt:alice"] * 5
    assert len(checked) == 1
    here.now = NOW + 64.9
    assert here.who(made) == "jwt:alice"
    here.now = NOW + 65
    assert here.who(made) is None
    tokens = here.door._tokens
    monkeypatch.setattr("safelight.guard.identity.tokens.MOST_KNOWN", 3)
    here.now = NOW
    for number in range(9):
        assert here.who(token(jti=str(number))) == "jwt:alice"
        assert len(tokens._known) <= 3


def test_a_short_key_is_none(at_the_door, issuer):
    small = rsa.generate_private_key(65537, 1024)
    issuer.keys = [public(small, "one")]
    assert at_the_door(jwt_table(issuer.url)).who(signed(CLAIMS, key=small)) is None


def test_a_token_that_is_good_once_is_spent_for_all_guards_of_a_store(at_the_door, issuer, tmp_path):
    here = at_the_door(jwt_table(issuer.url, once=True))
    assert here.who(token()) is None  # it has no jti
    headers = [(b"authorization", f"Bearer {token(jti='n-1')}".encode())]
    client = here.door.client_of(here.policy, {"headers": headers})
    assert client is not None
    assert "n-1" not in client.token
    store = Store.open(tmp_path / "guard.db")
    other = Store.open(tmp_path / "guard.db")
    assert is_first_use(store, client, NOW)
    assert not is_first_use(store, client, NOW + 1)
    assert not is_first_use(other, client, NOW + 89.9)
    assert is_first_use(store, Client("jwt:bob", "", client.token, NOW + 90), NOW)  # each client has its own numbers
    assert is_first_use(store, Client("ward-3"), NOW)
    assert is_first_use(store, Client("ward-3"), NOW)
    for number in range(30):  # what is over is forgotten
        assert is_first_use(store, Client("jwt:alice", "", f"t{number}", NOW + 100 + number), NOW + 100 * number)
    assert len(store.read("tokens", "jwt:alice").facts) < 5
    store.close()
    other.close()


# Certificates --------------------------------------------------------------------------------------------------------


def certificate(name: str, key, by=None, signer=None, names=(), authority=False) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    day = datetime.timedelta(days=1)
    today = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - day)
        .not_valid_after(today + day)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if names:
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return made.sign(signer or key, hashes.SHA256())


def der(shown: x509.Certificate) -> bytes:
    return shown.public_bytes(serialization.Encoding.DER)


def pem(shown: x509.Certificate) -> bytes:
    return shown.public_bytes(serialization.Encoding.PEM)


AUTHORITY = certificate("authority", CURVE, authority=True)
LAB_KEY = ec.generate_private_key(ec.SECP256R1())
LAB = certificate(
    "lab machine", LAB_KEY, AUTHORITY, CURVE, [x509.DNSName("lab.example"), x509.RFC822Name("a@b.example")]
)
DESK = certificate("desk", LAB_KEY, AUTHORITY, CURVE)
STRANGER = certificate("lab machine", LAB_KEY, names=[x509.DNSName("lab.example")])
BY_NAME = '[[clients.certificate]]\nid = "lab"\nname = "lab.example"\ncohort = "labs"\n'
BY_HASH = f'[[clients.certificate]]\nid = "desk"\nsha256 = "{hashlib.sha256(der(DESK)).hexdigest().upper()}"\n'
TERMINATOR = '[clients.terminator]\nfrom = ["10.0.0.5", "10.1.0.0/16"]\n'
PEER = {"client": ("10.0.0.5", 4711)}


def rfc9440(shown: x509.Certificate) -> tuple[bytes, bytes]:
    return b"Client-Cert", b":" + base64.b64encode(der(shown)) + b":"


def envoy(shown: x509.Certificate, before: str = "") -> tuple[bytes, bytes]:
    digest = hashlib.sha256(der(shown)).hexdigest()
    return b"x-forwarded-client-cert", f'{before}Hash={digest};Cert="{quote(pem(shown), safe="")}"'.encode()


def test_names_of_a_certificate_are_its_alternative_names_or_else_its_common_name():
    assert names_of(der(LAB)) == {"lab.example", "a@b.example"}
    assert names_of(der(DESK)) == {"desk"}
    with pytest.raises(Malformed):
        names_of(b"none")


def test_only_the_named_terminator_is_believed(at_the_door):
    here = at_the_door(WARD + BY_NAME + BY_HASH + TERMINATOR)
    assert here.who("", rfc9440(LAB), **PEER) == "lab"
    assert here.who("", rfc9440(DESK), client=("10.1.200.3", 1)) == "desk"
    for peer in ({"client": ("10.0.0.6", 1)}, {"client": None}, {}, {"client": ("/run/socket", 0)}):
        assert here.who("", rfc9440(LAB), **peer) is None
        assert here.who("pass-word", rfc9440(LAB), **peer) is None  # who says so is refused, with a key as well
        assert here.who("pass-word", **peer) == "ward-3"
    assert here.who("pass-word", **PEER) == "ward-3"
    assert here.who("pass-word", rfc9440(LAB), **PEER) is None  # two proofs
    assert here.who("", rfc9440(LAB), rfc9440(LAB), **PEER) is None
    assert here.who("", envoy(LAB), **PEER) is None  # another header than the terminator's
    assert here.who("", rfc9440(certificate("x", LAB_KEY)), **PEER) is None
    assert here.who("", (b"client-cert", rfc9440(LAB)[1] + b", " + rfc9440(DESK)[1]), **PEER) is None


def test_envoys_header_is_read_whole_or_not_at_all(at_the_door):
    here = at_the_door(BY_NAME + BY_HASH + TERMINATOR + 'header = "x-forwarded-client-cert"\n')
    assert here.who("", envoy(LAB), **PEER) == "lab"
    assert here.who("", envoy(LAB, 'By=spiffe://a/b;Subject="CN=\\"desk\\",O=a;Cert=x";'), **PEER) == "lab"
    name, value = envoy(LAB)
    for wrong in (
        value + b"," + envoy(DESK)[1],  # two proxies
        value + b";Cert=" + quote(pem(DESK), safe="").encode(),
        value.replace(b"Hash=", b"Hash=00"),
        value.partition(b";")[0],  # a hash alone
        b"Cert=", b'Cert="', b"=", b"", b"Cert", b'Cert="x"y',
    ):  # fmt: skip
        assert here.who("", (name, wrong), **PEER) is None
    with pytest.raises(Malformed):
        told("x-forwarded-client-cert", b"a" * 70000)


def test_a_certificate_over_tls_is_told_as_the_extension_of_asgi_says(at_the_door):
    here = at_the_door(WARD + BY_NAME)
    shown = {"client_cert_chain": [pem(LAB).decode(), pem(AUTHORITY).decode()], "client_cert_error": None}
    assert here.who("", extensions={"tls": shown}) == "lab"
    assert here.who("", extensions=None) is None
    assert here.who("", extensions={"tls": {**shown, "client_cert_error": "expired"}}) is None
    assert here.who("pass-word", extensions={"tls": {**shown, "client_cert_chain": ()}}) == "ward-3"
    assert here.who("pass-word", extensions={"tls": shown}) is None  # two proofs
    assert here.who("", extensions={"tls": {**shown, "client_cert_chain": [pem(DESK).decode()]}}) is None


def test_nobody_speaks_of_certificates_where_none_is_expected(at_the_door):
    here = at_the_door(WARD)
    assert here.who("pass-word") == "ward-3"
    assert here.who("pass-word", rfc9440(LAB), **PEER) is None
    assert here.who("pass-word", envoy(LAB), **PEER) is None


def ask(guard, *, cert=None, headers=None, trust=None):
    context = ssl.create_default_context(cafile=str(trust or guard.folder / "ca.pem"))
    if cert:
        context.load_cert_chain(guard.folder / f"{cert}.pem")
    with httpx.Client(verify=context) as client:
        url = f"https://localhost:{guard.port}/invocations"
        return client.post(url, json={"inputs": [[1.0]]}, headers=headers or {})


def test_over_real_tls_a_certificate_of_the_authority_is_who_it_names(tmp_path, counted, guard_running, guard_upstream):
    private = LAB_KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for name, shown in (("lab", LAB), ("desk", DESK), ("stranger", STRANGER)):
        (tmp_path / f"{name}.pem").write_bytes(pem(shown) + private)
    server = certificate("localhost", LAB_KEY, AUTHORITY, CURVE, [x509.DNSName("localhost")])
    (tmp_path / "server.pem").write_bytes(pem(server) + private)
    (tmp_path / "ca.pem").write_bytes(pem(AUTHORITY))
    policy = guard_upstream.format(counted.port, "mlflow")
    files = ("--cert", str(tmp_path / "server.pem"), "--client-ca", str(tmp_path / "ca.pem"))
    with guard_running(tmp_path, policy + BY_NAME, *files) as guard:
        assert ask(guard, cert="lab").json() == {"predictions": [[0.912345, 0.087655]]}
        assert {"client-cert", "authorization"}.isdisjoint(name.lower() for name, _ in counted.got[-1][2])
        assert ask(guard, cert="lab", headers={"authorization": "the server's own"}).status_code == 200
        assert dict(counted.got[-1][2])["authorization"] == "the server's own"  # no key of the guard's, so it goes on
        before = len(counted.got)
        assert ask(guard, cert="desk").status_code == 401  # of the authority, and no client
        assert ask(guard, cert="lab", headers={"client-cert": ":AAAA:"}).status_code == 401
        for refused in ("stranger", None):  # certificates alone name clients, so nobody without one gets so far
            with pytest.raises(httpx.HTTPError):
                ask(guard, cert=refused)
        guard.change(policy + BY_NAME + WARD)
        assert ask(guard, cert="lab", headers={"authorization": "Bearer pass-word"}).status_code == 401
        assert len(counted.got) == before
        assert ask(guard, cert="lab").status_code == 200


# What guard.toml may say ---------------------------------------------------------------------------------------------

KEYS = jwt_table("keys.json")


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("[clients.jwt]\nissuer = 'a'", r"\[clients.jwt\] needs the key 'audience'"),
        (KEYS + "issuers = 'a'", "has no setting 'issuers'"),
        (KEYS + "algorithms = ['HS256']", "has 'HS256'; it may list RS256"),
        (KEYS + "algorithms = ['none']", "has 'none'; it may list RS256"),
        (KEYS + "algorithms = []", "empty issuer, audience, claim or list of algorithms"),
        (KEYS + "leeway = 301", r"leeway is 301.0; it must be in \[0, 300\]"),
        (KEYS + "refresh = 1", "refresh is 1.0; it must be at least 10"),
        (jwt_table("http://id.example/keys"), "must be a file, or an https address"),
        (jwt_table("file:///etc/passwd"), "must be a file, or an https address"),
        (jwt_table("https://me:pw@id.example/"), "without a password"),
        ("[[clients.certificate]]\nid = 'a'", "'a' needs either sha256 or name"),
        ("[[clients.certificate]]\nid = 'a'\nsha256 = 'ff'", "'a' has a sha256 that is not 64"),
        (WARD + "[[clients.certificate]]\nid = 'ward-3'\nname = 'x'", "Two clients are named 'ward-3'"),
        (BY_NAME + BY_NAME.replace('"lab"', '"lab2"'), "Two clients show the certificate 'lab.example'"),
        (WARD + TERMINATOR, "of no use without a"),
        (BY_NAME + "[clients.terminator]\nform = ['10.0.0.5']", "needs from and may have header. Did you mean 'from'"),
        (BY_NAME + "[clients.terminator]\nfrom = []", "from is empty"),
        (BY_NAME + "[clients.terminator]\nfrom = ['proxy.example']", "from has 'proxy.example'"),
        (BY_NAME + TERMINATOR + "header = 'x-ssl-cert'", "header is 'x-ssl-cert'; use one of client-cert"),
        (f"[[clients.key]]\nid = 'jwt:bob'\nsha256 = '{DIGEST}'", "'jwt:bob' has no plain name"),
        (f"[[clients.key]]\nid = \"a\\nb\"\nsha256 = '{DIGEST}'", "has no plain name"),
    ],
)
def test_what_is_wrong_with_clients_is_said_in_one_sentence(tmp_path, text, trouble):
    (tmp_path / "guard.toml").write_text(HEAD + text)
    with pytest.raises(InputError, match=trouble):
        read_policy(tmp_path / "guard.toml")


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        (
            "[[budget.client]]\nid = 'ward-4'\nper_day = 1",
            "of 'ward-4', which is no client. Did you mean 'ward-3'",
        ),
        ("[[budget.cohort]]\nname = 'ward'\nper_day = 1", "speaks of 'ward', which is no cohort. Did you mean 'wards'"),
        ("[[budget.model]]\nper_day = 1", "needs the key 'name'"),
        ("[[budget.model]]\nname = 'diag'", "'diag' sets no limit; add per_minute, per_day, lifetime"),
        ("[[budget.model]]\nname = 'diag'\nper_hour = 1", "has no setting 'per_hour'"),
        (
            "[[budget.model]]\nname = 'a'\nper_day = 1\n[[budget.model]]\nname = 'a'\nper_day = 2",
            "stands twice for 'a'",
        ),
        ("[budget]\nmodel = 3", "budget.model is no list"),
        ("[[route]]\nfail = 'open'", r"\[\[route\]\] needs the key 'path'"),
        ("[[route]]\npath = '/a/*/b'", "'/a/\\*/b' is no path"),
        ("[[route]]\npath = '/a/../b'", "'/a/../b' is no path"),
        ("[[route]]\npath = '/a'\nfail = 'opne'", "use one of 'closed', 'open', 'label-only'"),
        ("[[route]]\npath = '/a'\n[[route]]\npath = '/a'", "Two routes have the path '/a'"),
        ("[[route]]\npath = '/a'\n[route.outputs]\ntopk = 1", "has no setting 'topk'"),
        ("[route]\npath = '/a'", "route is no list"),
    ],
)
def test_what_is_wrong_with_budgets_and_routes_is_said_in_one_sentence(tmp_path, text, trouble):
    (tmp_path / "guard.toml").write_text(HEAD + WARD + text)
    with pytest.raises(InputError, match=trouble):
        read_policy(tmp_path / "guard.toml")


def test_a_clients_own_budget_keeps_what_it_does_not_say(tmp_path):
    text = "[budget]\nper_minute = 60\nlifetime = 500\n[[budget.client]]\nid = 'ward-3'\nlifetime = 9\n"
    (tmp_path / "guard.toml").write_text(HEAD + WARD + text + "[[budget.model]]\nname = 'diag'\nper_day = 4\n")
    policy = read_policy(tmp_path / "guard.toml")
    assert (policy.budget_of("ward-3").per_minute, policy.budget_of("ward-3").lifetime) == (60, 9)
    assert policy.budget_of("lab").lifetime == 500
    assert policy.models["diag"].per_minute is None
