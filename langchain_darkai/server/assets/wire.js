// The calls to the server that the page came from, and to no other.

class ServerError extends Error {
  constructor(message, { needsKey = false } = {}) {
    super(message);
    this.needsKey = needsKey;
  }
}

// A header holds bytes; the server reads those of a key as UTF-8.
function bearer(key) {
  return `Bearer ${String.fromCharCode(...new TextEncoder().encode(key))}`;
}

async function call(path, key, options = {}) {
  const headers = { ...options.headers, ...(key && { authorization: bearer(key) }) };
  let response;
  try {
    response = await fetch(path, { ...options, headers, mode: "same-origin", redirect: "error", cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server cannot be reached. Check that it is running, then try again.");
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => null);
  // A model behind the server can lack a key, too; then there is no such header.
  const needsKey = response.status === 401 && response.headers.has("www-authenticate");
  throw new ServerError(told?.error?.message ?? `The server answered with status ${response.status}.`, { needsKey });
}

async function modelNames(key) {
  return (await (await call("models", key)).json()).models;
}

async function* linesOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      const lines = (rest + (value ?? "")).split("\n");
      rest = done ? "" : lines.pop();
      yield* lines.filter((line) => line.trim());
      if (done) return;
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The connection broke during the reply.");
  } finally {
    reader.cancel().catch(() => {});
  }
}

function decode(line) {
  try {
    const { event, data } = JSON.parse(line.slice("data:".length));
    return { event, data: data ?? {}, line };
  } catch {
    throw new ServerError(`The server sent something that is not an event: ${line.slice(0, 200)}`);
  }
}

// Send a request and yield the events of the reply. Throws a ServerError where it fails, also after the last event.
async function* chat(body, key, signal) {
  const headers = { "content-type": "application/json", accept: "text/event-stream" };
  const response = await call("chat", key, { method: "POST", headers, body: JSON.stringify(body), signal });
  for await (const line of linesOf(response)) {
    if (!line.startsWith("data:")) continue;
    const event = decode(line);
    yield event;
    if (event.event === "error") throw new ServerError(event.data.message ?? "The reply failed.");
    if (event.event === "stream-end") return;
  }
  throw new ServerError("The reply ended too early.");
}
