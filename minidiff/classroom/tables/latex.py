r"""The formulas of the equations as LaTeX, by id.

tests/classroom/test_latex.py evaluates them on numbers against the functions. Statements are
separated by \quad, \leftarrow is an assignment.
"""

from minidiff.classroom.tables.latex_after import LATEX_AFTER
from minidiff.classroom.tables.latex_bound import LATEX_BOUND
from minidiff.classroom.tables.latex_forward import LATEX_FORWARD
from minidiff.classroom.tables.latex_latent import LATEX_LATENT
from minidiff.classroom.tables.latex_reverse import LATEX_REVERSE
from minidiff.classroom.tables.latex_sampling import LATEX_SAMPLING

LATEX: dict[str, str] = {
    **LATEX_FORWARD,
    **LATEX_REVERSE,
    **LATEX_BOUND,
    **LATEX_AFTER,
    **LATEX_SAMPLING,
    **LATEX_LATENT,
}
