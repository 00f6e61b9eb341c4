"""The teacher's guide in docs/guide/, written from the plans that `python -m minidiff rehearse` runs."""

from pathlib import Path

from slide_pages import write

from minidiff.classroom.guide import guide_overview, plan_markdown
from minidiff.classroom.plans import PLANS


def write_pages(app) -> None:
    folder = Path(app.srcdir) / "guide"
    write(folder / "index.md", guide_overview())
    for plan in PLANS.values():
        write(folder / f"{plan.name}.md", plan_markdown(plan))


def setup(app):
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
