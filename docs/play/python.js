// Calls to Python in the worker: await python.call("points.forward", {...}).

export class PythonError extends Error {}

export class Python {
  constructor(config, onLoading) {
    this.waiting = new Map();
    this.next = 0;
    this.latest = new Map(); // channel -> {busy, queued}
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.ready = new Promise((resolve, reject) => {
      this.worker.onmessage = ({ data }) => {
        if (data.loading) onLoading(data.loading);
        else if (data.ready) resolve(data.ready);
        else if (data.dead) reject(new PythonError(data.dead));
        else this.answered(data);
      };
      this.worker.onerror = (event) => {
        event.preventDefault();
        reject(new PythonError(event.message || "the worker could not be started"));
      };
    });
    this.worker.postMessage({ config });
  }

  call(name, args = {}) {
    const id = this.next++;
    return this.ready.then(() => new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, name, args });
    }));
  }

  // Only the newest request of a channel counts: a slider that moves fast skips what nobody will see.
  // Resolves to undefined for one that was overtaken.
  newest(channel, name, args) {
    const state = this.latest.get(channel) || { busy: false, queued: null };
    this.latest.set(channel, state);
    return new Promise((resolve, reject) => {
      if (state.queued) state.queued.resolve(undefined);
      state.queued = { name, args, resolve, reject };
      const go = async () => {
        while (state.queued) {
          const job = state.queued;
          state.queued = null;
          try {
            job.resolve(await this.call(job.name, job.args));
          } catch (error) {
            job.reject(error);
          }
        }
        state.busy = false;
      };
      if (!state.busy) {
        state.busy = true;
        go();
      }
    });
  }

  answered({ id, text, buffers }) {
    const { resolve, reject } = this.waiting.get(id);
    this.waiting.delete(id);
    const reply = JSON.parse(text);
    if (reply.error !== undefined) reject(new PythonError(reply.error));
    else resolve(revive(reply.value, buffers));
  }
}

const KINDS = { f4: Float32Array, f8: Float64Array, i4: Int32Array };

function revive(value, buffers) {
  if (Array.isArray(value)) return value.map((item) => revive(item, buffers));
  if (value === null || typeof value !== "object") return value;
  if ("array" in value && "dtype" in value) {
    return { shape: value.shape, data: new KINDS[value.dtype](buffers[value.array]) };
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, revive(item, buffers)]));
}
