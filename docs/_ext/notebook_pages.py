"""The notebooks as pages of docs/notebooks/: run when the site is built, so that what they show is what they do."""

from pathlib import Path

from percent_cells import markdown, read_cells
from slide_pages import write

ROOT = Path(__file__).parents[2]
HEAD = """# Notebooks

One for each part of the lecture. They are text files with `# %%` between the cells. VS Code, PyCharm and Spyder open them as they
are; for Jupyter, `pip install jupytext` and `jupytext --to ipynb notebooks/*.py`. The pages here were run when the site was built.
"""
IN_THE_BROWSER = "\nEach page has a link to its notebook in JupyterLite: change it and run it in this browser, with nothing installed.\n"


def notebooks() -> list[Path]:
    return sorted((ROOT / "notebooks").glob("*.py"), key=lambda path: ORDER.index(path.stem))


RUN_IT = (
    '<p class="run-it"><a href="../lite/notebooks/index.html?path={name}.ipynb">Run and change it in this browser</a> '
    "<span>about 40 MB the first time; then Python starts within a minute</span></p>"
)
ORDER = ["forward", "reverse", "ddim", "unet", "latent", "kernels"]


def is_fresh(page: Path, notebook: Path) -> bool:
    """Whether the page is younger than the notebook and all of the package."""
    if not page.exists():
        return False
    sources = [notebook, *Path(__file__).parent.glob("*.py"), *(ROOT / "minidiff").rglob("*.py")]
    return page.stat().st_mtime > max(path.stat().st_mtime for path in sources)


def write_pages(app) -> None:
    folder = Path(app.srcdir) / "notebooks"
    lines = [HEAD]
    for notebook in notebooks():
        page = folder / f"{notebook.stem}.md"
        if not is_fresh(page, notebook):
            text = markdown(notebook, folder / "pictures")
            page.parent.mkdir(exist_ok=True)
            page.write_text(f"{text}\n[The notebook's file](../../notebooks/{notebook.name})\n", encoding="utf-8")
        title, _, about = read_cells(notebook)[0].text.partition("\n")
        lines.append(f"- [{title.removeprefix('# ')}]({notebook.stem}.md): {' '.join(about.split())}")
    lines.append("\n```{toctree}\n:hidden:\n\n" + "\n".join(n.stem for n in notebooks()) + "\n```\n")
    write(folder / "index.md", "\n".join(lines))


def read_source(app, docname: str, source: list[str]) -> None:
    """Below the title of a notebook: where it can be changed and run, if that is built here."""
    from lite_pages import is_possible

    folder, _, name = docname.rpartition("/")
    if docname == "notebooks/index" and is_possible():
        source[0] = source[0].replace("\n\n- [", f"\n{IN_THE_BROWSER}\n- [", 1)
    if folder == "notebooks" and name in ORDER and is_possible():
        title, newline, rest = source[0].partition("\n")
        source[0] = f"{title}{newline}\n```{{raw}} html\n{RUN_IT.format(name=name)}\n```\n{rest}"


def setup(app):
    app.connect("builder-inited", write_pages)
    app.connect("source-read", read_source)
    return {"parallel_read_safe": True}
