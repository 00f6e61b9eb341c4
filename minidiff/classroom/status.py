"""`python -m minidiff`: what is installed, what is not, and why."""

from __future__ import annotations

import importlib.metadata
import platform

NEEDED = ("numpy", "matplotlib", "tqdm", "safetensors", "threadpoolctl")
OPTIONAL = {
    "cupy": (
        ("cupy-cuda13x", "cupy-cuda12x", "cupy"),
        "arrays on a GPU: pip install 'minidiff[cuda13]' (or [cuda12])",
    ),
    "diffusers": (("diffusers",), "the comparison tests: pip install 'minidiff[compare]'"),
    "pytest": (
        ("pytest",),
        "the tests and `python -m minidiff mutants`: pip install 'minidiff[test]'",
    ),
}
COMMANDS = {
    "python -m minidiff explain 'Forward Diffusion'": "from a slide to its code",
    "python -m minidiff explain forward.q_sample": "a formula, its code, a run with numbers",
    "python -m minidiff deck": "what covers each formula of the deck",
    "python -m minidiff step ddpm --t 500": "walk through a sampler, term by term",
    "python -m minidiff exercise": "write a formula yourself, graded number by number",
    "python -m minidiff lab": "see what a bug does, and name it",
    "python examples/algorithm_1.py --debug": "step from a program into its formulas",
    "python -m minidiff mutants": "break each formula, see a test catch it",
}


def status() -> str:
    """Versions and kernels, one line each."""
    own = _version("minidiff") or "(not installed, run from its folder)"
    lines = [f"minidiff {own}, Python {platform.python_version()}"]
    for name in NEEDED:
        lines.append(f"  {name} {_version(name) or 'MISSING: pip install minidiff'}")
    for name, (distributions, what_for) in OPTIONAL.items():
        version = next(filter(None, map(_version, distributions)), None)
        lines.append(
            f"  {name} {version}" if version else f"  {name} not installed; it is for {what_for}"
        )
    lines += [f"  {line}" for line in kernel_lines()]
    lines += [
        "",
        _commands(),
    ]
    return "\n".join(lines)


def kernel_lines() -> list[str]:
    """Which compiled kernels there are, or why there are none."""
    try:
        from minidiff import kernels
    except ImportError as error:
        return [f"kernels: not available ({error}); everything runs on NumPy"]
    from minidiff.kernels.blas import blas_line, slower_than_needed

    slower = slower_than_needed()
    blas = [blas_line(), *([f"  {slower}"] if slower else [])]
    return [*kernels.status(), *choice_lines(), *blas]


def choice_lines() -> list[str]:
    """What runs if no kernel is chosen: of each operation that has one, the fastest comes first."""
    from minidiff.engine.registry import kernel_versions, operations_with_kernels

    lines = []
    for device, where in (("cpu", "the CPU"), ("cuda", "a GPU")):
        tried = {name: kernel_versions(name, device)[::-1] for name in operations_with_kernels()}
        choices = ", ".join(f"{name} {' or '.join(v)}" for name, v in tried.items() if v)
        lines.append(f"what runs on {where} (else the definition): {choices}")
    return lines


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commands() -> str:
    return "\n".join(f"{command:47} {what}" for command, what in COMMANDS.items())
