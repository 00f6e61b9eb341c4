"""The teacher's guide as Markdown: a page for each plan, from the data that `rehearse` runs."""

from __future__ import annotations

from html import escape

from minidiff.classroom.plans import PLANS, Plan, Stage

OVERVIEW = """# Teacher's guide

Six plans of 90 minutes. Each says by the minute what to show, what to run, what to ask and which
answer to expect, and what people get wrong. The commands are real: rehearse a plan on the machine
that you will use, and see how long each takes.

    python -m minidiff rehearse forward

A misconception that a bug can show has a round of the bug lab beside it: the class sees the
consequence, argues, and names the line. It runs in a terminal and on the page to play with.

Every page opens without a network. On a projector of 1280 x 720 the first screen of a slide has the
formula, the code and the values.
"""


def guide_overview() -> str:
    """The page that lists the plans."""
    lines = [OVERVIEW]
    for plan in PLANS.values():
        titles = "; ".join(stage.title for stage in plan.stages)
        lines.append(f"- [{plan.title}]({plan.name}.md): {titles}")
    names = "\n".join(PLANS)
    return "\n".join([*lines, "", f"```{{toctree}}\n:hidden:\n\n{names}\n```", ""])


def plan_markdown(plan: Plan) -> str:
    """One plan as a page: a table by the minute."""
    minute, rows = 0, []
    for stage in plan.stages:
        rows.append(_row(stage, minute))
        minute += stage.minutes
    head = "<tr><th>min</th><th>stage</th><th>ask, and expect</th></tr>"
    body = "".join(rows)
    table = f'<table class="plan"><thead>{head}</thead><tbody>{body}</tbody></table>'
    return (
        f"# {plan.title}: {minute} minutes\n\n{plan.before}\n"
        f"Rehearse it: `python -m minidiff rehearse {plan.name}`.\n\n"
        f'````{{raw}} html\n<div class="plan-page">{table}</div>\n````\n'
    )


def _row(stage: Stage, minute: int) -> str:
    links = " ".join(
        f'<a class="show" href="../{page}">{escape(link_text(page))}</a>' for page in stage.show
    )
    run = f"<pre>{escape(stage.run)}</pre>" if stage.run else ""
    typed = ", ".join(f"<kbd>{escape(key)}</kbd>" for key in stage.keys)
    keys = f'<p class="keys">then type: {typed}</p>' if typed else ""
    ask = f"<p><b>{escape(stage.ask)}</b></p><p>{escape(stage.answer)}</p>" if stage.ask else ""
    believed = f"<b>Often believed:</b> {escape(stage.mistake)}"
    mistake = f'<p class="mistake">{believed}</p>' if stage.mistake else ""
    command = "The bug lab shows it: <code>python -m minidiff lab"
    lab = "".join(f'<p class="lab">{command} {c}</code>{_live(c)}</p>' for c in stage.lab)
    return (
        f'<tr><td class="minute">{minute}&ndash;{minute + stage.minutes}</td>'
        f"<td><h3>{escape(stage.title)}</h3><p>{escape(stage.say)}</p>"
        f"<p>{links}</p>{run}{keys}</td>"
        f"<td>{ask}{mistake}{lab}</td></tr>"
    )


def _live(code: str) -> str:
    """The round on the page; a kernel needs a compiler, which a browser has not."""
    page = f"../play/index.html#lab?round={code}"
    return "" if code.startswith("k") else f', <a href="{page}">live</a>'


def link_text(page: str) -> str:
    """What a link is called: deck/05.html#x_t-in-one-jump is "slide 5: x_t in one jump"."""
    path, _, anchor = page.partition("#")
    name = path.removesuffix(".html")
    if name.startswith("deck/"):
        name = f"slide {int(name[5:])}"
    elif name.startswith("source/"):
        file, line = name.removeprefix("source/"), anchor.removeprefix("L")
        return f"{file}:{line}"
    name = name.replace("_", " ").replace("notebooks/", "notebook: ")
    return f"{name}: {anchor.replace('-', ' ')}" if anchor else name
