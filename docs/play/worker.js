// Python lives here, in a worker, so that the page never freezes. Messages in: {id, name, args}.
// Messages out: {id, text, buffers} for a call, {loading: {...}} while it starts, {dead: sentence} if it can't.

const send = (message, transfer) => self.postMessage(message, transfer || []);

// Reads a response as it comes, and tells how much is there.
async function download(url, what, integrity) {
  const response = await fetch(url, integrity ? { integrity, mode: "cors" } : {});
  if (!response.ok) throw new Error(`${what}: the server answered ${response.status} for ${url}`);
  const total = Number(response.headers.get("content-length")) || 0;
  const packed = response.headers.get("content-encoding"); // then the length is that of the packed bytes
  const reader = response.body.getReader(), parts = [];
  let got = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    got += value.length;
    send({ loading: { what, got, total: packed ? 0 : total } });
  }
  return new Blob(parts).arrayBuffer();
}

async function start(config) {
  const base = config.pyodide, scripts = {};
  // Each file of Pyodide is fetched with its hash. What is no script, Pyodide then finds in the browser's cache.
  for (const [file, integrity] of Object.entries(config.files)) {
    const bytes = await download(base + file, file, integrity);
    if (/\.m?js$/.test(file)) scripts[file] = URL.createObjectURL(new Blob([bytes], { type: "text/javascript" }));
  }
  send({ loading: { what: "python" } });
  await import(scripts["pyodide.asm.js"]);
  const { loadPyodide } = await import(scripts["pyodide.mjs"]);
  const py = await loadPyodide({ indexURL: base });
  send({ loading: { what: "numpy" } });
  await py.loadPackage("numpy", { messageCallback: () => {}, checkIntegrity: true });
  const zip = await download(config.package, "minidiff.zip");
  py.unpackArchive(zip, "zip", { extractDir: "/home/pyodide/minidiff_page" });
  send({ loading: { what: "minidiff" } });
  py.runPython(`
import sys
sys.path.insert(0, "/home/pyodide/minidiff_page")
sys.dont_write_bytecode = True
from minidiff.classroom.page.wire import call
`);
  const call = py.globals.get("call");
  self.onmessage = ({ data: { id, name, args } }) => {
    try {
      const answer = call(name, JSON.stringify(args));
      const [text, views] = answer.toJs();
      answer.destroy();
      const buffers = views.map((view) => view.slice().buffer);
      send({ id, text, buffers }, buffers);
    } catch (error) { // not Python's own errors, which come as sentences: the interpreter is gone
      const last = String(error.message || error).trim().split("\n").pop();
      send({ id, text: JSON.stringify({ error: last }), buffers: [] });
    }
  };
  const version = py.runPython("import numpy, platform; f'Python {platform.python_version()}, NumPy {numpy.__version__}'");
  send({ ready: version });
}

self.onmessage = ({ data }) => {
  start(data.config).catch((error) => send({ dead: String(error.message || error).trim().split("\n").pop() }));
};
