"""The command line: one file, one command. Results on stdout, progress and words on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

COMMANDS = {
    "demo": "Audit two real models on bundled data: faces, and a sensitive survey.",
    "init": "Write a commented safelight.toml.",
    "audit": "Audit your own model.",
    "attacks": "List every attack.",
    "explain": "Explain one attack or defence, e.g. V001 or dp-sgd.",
    "defences": "List every defence.",
    "defend": "Try defences on your model, and say what each does.",
    "tradeoff": "Draw accuracy, leak and cost of defences side by side.",
    "recommend": "Find the defence that meets a limit, confirmed on fresh coins.",
    "onion": "Take the records most at risk out of training, and see who is exposed next.",
    "dp-check": "Test a promise of differential privacy on the coins of an audit or of gradient canaries.",
    "structure": "Count what a model file itself holds of its training records.",
    "uniqueness": "Count how alone the records of a table stand: k-anonymity, k-map, l-diversity.",
    "guard": "Stand before a served model: budgets, hardened answers, a log.",
    "drill": "Attack a model behind its guard: what leaked, what was noticed, when.",
    "report": "Draw the report of an earlier audit again.",
    "doctor": "Say which optional packages are missing, and how to get them.",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 clean, 1 findings, 2 bad input, 3 incomplete, 130 interrupted."""
    import cyclopts

    from safelight.errors import SafelightError

    app = cyclopts.App(
        name="safelight",
        help="What does a machine-learning model still reveal of its training data? Safelight shows it, and proves it.",
        version=_version,
        result_action="return_value",
        exit_on_error=False,
        print_error=True,
    )
    words = list(sys.argv[1:] if arguments is None else arguments)
    for name, text in COMMANDS.items():
        # The list shows one line a command and imports none of them; a command itself speaks by its docstring.
        app.command(home(name), name=name, help=None if words[:1] == [name] else text)
    if words[:1] == ["guard"]:
        from safelight.cli.guard import speak

        speak(words[1:])
    try:
        code = app(words)
    except cyclopts.CycloptsError as error:
        if isinstance(error, cyclopts.UnknownCommandError):  # its words end after eight commands
            of = "safelight guard" if words[:1] == ["guard"] else "safelight"
            print(f"safelight: `{of} --help` lists all commands.", file=sys.stderr)
        return 2
    except SafelightError as error:
        print(f"safelight: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("safelight: interrupted; what was done is kept, and --resume goes on.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    return code if isinstance(code, int) else 0


def home(command: str) -> str:
    """Return where a command lives, as "module:function"."""
    place = command.replace("-", "_")
    return f"safelight.cli.{place}:{place}"


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("safelight")
    except PackageNotFoundError:
        return "unknown (not installed)"


def run() -> None:
    """Entry point of the installed command."""
    sys.exit(main())
