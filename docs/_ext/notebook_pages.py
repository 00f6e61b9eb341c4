"""The notebooks as pages of docs/notebooks/: run when the site is built, so that what they show is what they do."""

from pathlib import Path

from percent_cells import markdown, read_cells
from slide_pages import write

ROOT = Path(__file__).parents[2]
HEAD = """# Notebooks

One for each part of the lecture. They are text files with `# %%` between the cells. VS Code, PyCharm and Spyder open them as they
are; for Jupyter, `pip install jupytext` and `jupytext --to ipynb notebooks/*.py`. The pages here were run when the site was built.
"""


def notebooks() -> list[Path]:
    return sorted((ROOT / "notebooks").glob("*.py"), key=lambda path: ORDER.index(path.stem))


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


def setup(app):
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
