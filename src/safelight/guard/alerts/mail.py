"""Mail, through a server of the owner's."""

from __future__ import annotations

import json
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from safelight.guard.alerts.message import Message
from safelight.guard.alerts.post import TIMEOUT, Undelivered
from safelight.guard.alerts.settings import AlertRoute


def written(route: AlertRoute, message: Message) -> EmailMessage:
    """Return the mail. Line breaks in what it says cannot make headers."""
    mail = EmailMessage()
    mail["From"], mail["To"] = route.sender, ", ".join(route.to)
    mail["Subject"] = " ".join(message.summary.split())[:200]
    mail["Date"], mail["Message-ID"] = (
        formatdate(message.end or message.start),
        make_msgid("safelight", "guard.invalid"),
    )
    mail["Auto-Submitted"] = "auto-generated"
    lines = [message.summary + ".", f"Done: {message.annotations['done']}."]
    if message.incident:
        lines.append(f"See: safelight guard incident {message.incident}")
    mail.set_content("\n".join([*lines, "", json.dumps(message.facts, indent=2), ""]))
    return mail


def to_mail(route: AlertRoute, message: Message) -> None:
    """Hand the mail to the server; raises Undelivered."""
    try:
        with smtplib.SMTP(route.host or "", route.port, timeout=TIMEOUT) as server:
            if route.starttls:
                server.starttls(context=ssl.create_default_context())
            if route.user is not None:
                server.login(route.user, route.secret("password_env"))
            refused = server.send_message(written(route, message))
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise Undelivered(f"{type(error).__name__}: {error}") from None
    if refused:
        raise Undelivered(f"{len(refused)} of {len(route.to)} addresses were refused")
