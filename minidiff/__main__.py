"""`python -m minidiff`: what is installed; with a command: explain, deck, step, play and more."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from minidiff.classroom.exercises.options import add_exercise, exercise
from minidiff.classroom.lab.options import add_lab, lab
from minidiff.classroom.status import status
from minidiff.cli import program
from minidiff.engine.registry import use_kernels


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    -> the exit status: 0, 1 if the command found something wrong, 2 for wrong arguments
    """
    parser = argparse.ArgumentParser(prog="python -m minidiff", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    explain_command = commands.add_parser(
        "explain", help="a formula, its code and a run; or what is on a slide"
    )
    explain_command.add_argument(
        "what", nargs="+", help="an equation's id, a slide's title, or a slide's number"
    )
    explain_command.add_argument(
        "--short", action="store_true", help="code with its values beside it, on one screen"
    )
    deck_command = commands.add_parser(
        "deck", help="the deck slide by slide with what covers it; status 1 if something is missing"
    )
    deck_command.add_argument(
        "--markdown", metavar="FILE", help="write it as a page of the docs instead"
    )
    errata_command = commands.add_parser(
        "errata", help="what the slides say and what is right, with the difference in numbers"
    )
    errata_command.add_argument(
        "--markdown", metavar="FILE", help="write it as a page of the docs instead"
    )
    commands.add_parser(
        "mutants", help="break each formula and see whether a test notices; status 1 if none does"
    )
    rehearse_command = commands.add_parser(
        "rehearse", help="run every command of a plan for a class, and print the seconds"
    )
    rehearse_command.add_argument("plan", help="forward, reverse, ddim, unet, latent or kernels")
    step_command = commands.add_parser("step", help="walk through an algorithm in the terminal")
    algorithms = ["ddpm", "ddim", "heun", "dpm++", "sa", "flow-euler", "flow-heun", "train"]
    step_command.add_argument("algorithm", choices=algorithms)
    step_command.add_argument(
        "--t", type=int, help="start at this time (train: the time of every image)"
    )
    step_command.add_argument(
        "--on",
        default="oracle",
        help="oracle, digits, or the folder of a checkpoint (default: oracle)",
    )
    step_command.add_argument("--n", type=int, default=1, help="images in the batch")
    step_command.add_argument(
        "--T", type=int, default=1000, help="steps of the forward process (oracle, digits)"
    )
    step_command.add_argument("--schedule", default="linear", choices=["linear", "cosine"])
    step_command.add_argument(
        "--steps", type=int, help="number of steps, of all but ddpm (default: T)"
    )
    step_command.add_argument("--eta", type=float, default=0.0, help="of ddim and sa: 0 to 1")
    step_command.add_argument(
        "--prompt", default="three", help="what a latent model draws (default: three)"
    )
    step_command.add_argument(
        "--guidance", type=float, default=1.0, help="of a latent model; 1 (default): without"
    )
    step_command.add_argument(
        "--kernels", default="reference", choices=["reference", "auto"],
        help="reference (default): operations run by their definitions; auto: by fast kernels",
    )  # fmt: skip
    step_command.add_argument("--seed", type=int, default=0)
    play_command = commands.add_parser("play", help="the package in the browser: a page to play")
    play_command.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    play_command.add_argument(
        "--pyodide", metavar="DIR",
        help="a folder with Pyodide, for a class without a network (default: its CDN)",
    )  # fmt: skip
    play_command.add_argument(
        "--fetch", metavar="DIR", help="load Pyodide into a folder for --pyodide, and end"
    )
    play_command.add_argument(
        "--write", metavar="DIR", help="write the page as plain files instead of serving it"
    )
    play_command.add_argument(
        "--no-browser", action="store_true", help="only print the address"
    )
    add_exercise(commands)
    add_lab(commands)
    weights_command = commands.add_parser(
        "weights", help="the weights that come with the package, or new ones made from a run"
    )
    weights_command.add_argument("--from", dest="run", metavar="RUN", help="folder of a run")
    weights_command.add_argument("--figures", default="", help="what was measured of the run")
    weights_command.add_argument("--data", default="", help="what it was trained with, in words")
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except (KeyError, ValueError, RuntimeError, OSError) as error:
        print(
            f"minidiff: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr
        )
        return 2


def _run(options: argparse.Namespace) -> int:
    if options.command == "explain":
        from minidiff.classroom.explain import explain

        with use_kernels("reference"):
            print(explain(" ".join(options.what), options.short))
    elif options.command == "deck":
        from minidiff.classroom.coverage import deck_report

        if options.markdown:
            from minidiff.classroom.markdown import deck_markdown

            Path(options.markdown).write_text(deck_markdown(), encoding="utf-8")
            return 0
        report = deck_report()
        print(report)
        return 0 if report.complete else 1
    elif options.command == "errata":
        from minidiff.classroom.markdown import errata_markdown, errata_text

        if options.markdown:
            Path(options.markdown).write_text(errata_markdown(), encoding="utf-8")
        else:
            print(errata_text())
    elif options.command == "mutants":
        return _mutants()
    elif options.command == "rehearse":
        from minidiff.classroom import rehearse

        failed = rehearse.report(rehearse.get_plan(options.plan), partial(print, flush=True))
        return 1 if failed else 0
    elif options.command == "step":
        with use_kernels(options.kernels):
            _step(options)
    elif options.command == "play":
        from minidiff.classroom.play import fetch_pyodide, play, write_page

        if options.fetch:
            print(f"Pyodide is in {fetch_pyodide(options.fetch)}: play --pyodide {options.fetch}")
            return 0
        if options.write:
            print(f"wrote the page into {write_page(options.write, options.pyodide)}")
            return 0
        return play(options.port, options.pyodide, browser=not options.no_browser)
    elif options.command == "exercise":
        return exercise(options)
    elif options.command == "lab":
        return lab(options)
    elif options.command == "weights":
        from minidiff.classroom.ship_weights import describe, ship

        made = (options.figures, options.data)
        print("\n".join(ship(options.run, *made)) if options.run else describe())
    else:
        print(status())
    return 0


def _mutants() -> int:
    from minidiff.classroom.mutants import describe, run_mutants

    results = []
    for result in run_mutants():
        results.append(result)
        print(describe(result), flush=True)
    killed = sum(result.killed_by is not None for result in results)
    print(f"\n{killed} of {len(results)} mutants killed")
    return 0 if killed == len(results) else 1


def _step(options: argparse.Namespace) -> None:
    from minidiff.classroom.sources import make_source, steps_of
    from minidiff.classroom.walk import Walker
    from minidiff.engine.random import RNG

    source = make_source(
        options.on, options.T, options.schedule, options.prompt, options.guidance
    )
    steps = steps_of(
        options.algorithm,
        source,
        RNG(options.seed),
        n=options.n,
        steps=options.steps,
        eta=options.eta,
        t=options.t,
    )
    walker = Walker(steps, source.schedule, source.decode)
    if options.t is not None and not walker.run_to(options.t):
        raise ValueError(f"step: no step at t <= {options.t}; times are 1..{source.schedule.T}")
    walker.do_list("")
    walker.cmdloop()


if __name__ == "__main__":
    with program():
        sys.exit(main())
