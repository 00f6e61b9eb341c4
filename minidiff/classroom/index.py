"""All equations of the package by id, and what stands on which slide."""

from __future__ import annotations

import difflib
import importlib

from minidiff.classroom.tables.latex import LATEX
from minidiff.diffusion.equation import Equation, latex_by_id, registered

EQUATION_MODULES = (
    "minidiff.diffusion.schedule",
    "minidiff.diffusion.schedule_check",
    "minidiff.diffusion.forward",
    "minidiff.classroom.derivations.merged_steps",
    "minidiff.diffusion.gaussian",
    "minidiff.diffusion.reverse",
    "minidiff.classroom.derivations.posterior_exponent",
    "minidiff.diffusion.posterior",
    "minidiff.diffusion.targets",
    "minidiff.classroom.derivations.image_from_v",
    "minidiff.diffusion.losses",
    "minidiff.diffusion.vlb",
    "minidiff.classroom.derivations.likelihood",
    "minidiff.classroom.derivations.bound",
    "minidiff.classroom.derivations.loss_weight",
    "minidiff.diffusion.learned_variance",
    "minidiff.diffusion.noise_prediction",
    "minidiff.diffusion.ddpm",
    "minidiff.classroom.derivations.removed_fraction",
    "minidiff.diffusion.ddim",
    "minidiff.diffusion.inversion",
    "minidiff.diffusion.guidance",
    "minidiff.diffusion.latent",
    "minidiff.diffusion.oracle",
    "minidiff.classroom.derivations.true_reverse_step",
    "minidiff.classroom.architecture",
    "minidiff.beyond.score",
    "minidiff.beyond.flow_ode",
    "minidiff.beyond.exact_flow",
    "minidiff.beyond.pairs",
    "minidiff.beyond.solvers",
    "minidiff.beyond.sa_solver",
    "minidiff.beyond.flow_matching",
    "minidiff.beyond.loss_weights",
    "minidiff.beyond.schedules",
    "minidiff.beyond.tilted",
    "minidiff.beyond.consistency",
    "minidiff.beyond.inpainting",
)


latex_by_id.update(LATEX)


def all_equations() -> dict[str, Equation]:
    """Every equation by id, module by module in the order of the deck."""
    for name in EQUATION_MODULES:
        importlib.import_module(name)
    found = registered()
    return {id: found[id] for id in sorted(found, key=lambda id: _place(found[id]))}


def get_equation(id: str) -> Equation:
    """The equation called `id`, or whose id ends in it, if it is the only one: `q_sample`.

    Raises: KeyError, which names the nearest ids, if there is none.
    """
    equations = all_equations()
    if id not in equations:
        ending = [known for known in equations if known.endswith("." + id)]
        if len(ending) == 1:
            return equations[ending[0]]
        near = difflib.get_close_matches(id, equations, n=3, cutoff=0.4)
        raise KeyError(
            f"no equation is called {id!r}" + (f"; did you mean {', '.join(near)}?" if near else "")
        )
    return equations[id]


def _place(equation: Equation) -> tuple[int, int]:
    module = equation.registered_in
    return (
        EQUATION_MODULES.index(module) if module in EQUATION_MODULES else len(EQUATION_MODULES)
    ), equation.order
