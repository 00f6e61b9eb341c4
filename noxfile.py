#!/usr/bin/env -S uv run
# /// script
# dependencies = ["nox>=2024.4.15"]
# ///
"""Tasks for those who change minidiff.

pip install nox, then `nox -l` lists them, and `nox -s tests -- tests/nn` runs one.
"""

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "uv|virtualenv"

WITHOUT_KERNELS = {"MINIDIFF_KERNELS": ""}


@nox.session
def lint(session: nox.Session) -> None:
    """Run the linter and the type check."""
    session.install("-e.", "ruff", "mypy", env=WITHOUT_KERNELS)
    session.run("ruff", "check", ".")
    session.run("mypy", "minidiff")


@nox.session
def tests(session: nox.Session) -> None:
    """Build the kernels and run the tests, or those that are named behind `--`."""
    session.install("-e.[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(default=False)
def pure(session: nox.Session) -> None:
    """Run tests of the package without compiled kernels."""
    session.install("-e.[test]", env=WITHOUT_KERNELS)
    folders = ["tests/diffusion", "tests/engine", "tests/functional", "tests/nn", "tests/optim"]
    session.run("python", "-m", "pytest", *(session.posargs or folders))


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Build the site in docs/_build."""
    session.install("-e.[docs]", env=WITHOUT_KERNELS)
    session.run("python", "-m", "sphinx", "-W", "-b", "html", "docs", "docs/_build/html")


@nox.session(default=False, venv_backend="none")
def ci(session: nox.Session) -> None:
    """Run all that must pass before a change lands, in a fresh environment (long)."""
    session.run(".ci/run", external=True)


if __name__ == "__main__":
    nox.main()
