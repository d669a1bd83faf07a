// Requests to the interface under /api/v1. Errors carry the sentence that the server gave.

const BASE = "/api/v1";

export class ApiError extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** @param {string} name */
export const quoted = (name) => encodeURIComponent(name);

/** @param {string} method @param {string} path @param {any} [body] */
export async function request(method, path, body) {
  const isFile = body instanceof Blob;
  let response;
  try {
    response = await fetch(BASE + path, {
      method,
      body: body === undefined ? undefined : isFile ? body : JSON.stringify(body),
      headers: body === undefined || isFile ? {} : { "content-type": "application/json" },
    });
  } catch {
    throw new ApiError(0, "The studio does not answer. Is it still running in the terminal?");
  }
  if (!response.ok) throw await failure(response);
  return response.json();
}

/** @param {Response} response */
async function failure(response) {
  if (response.status === 401) {
    return new ApiError(401, "The studio was started again. Open the newest link that the terminal shows.");
  }
  try {
    return new ApiError(response.status, (await response.json()).error.message);
  } catch {
    return new ApiError(response.status, `The studio answered with an error (${response.status}).`);
  }
}

/** @param {string} path */
export const get = (path) => request("GET", path);
/** @param {string} path @param {any} [body] */
export const post = (path, body = {}) => request("POST", path, body);

/**
 * Ask again and again. A server that does not answer is asked on, so that what it does shows again
 * once it is back.
 * @param {string} path @param {number} milliseconds @param {(answer: any) => void} onAnswer
 * @param {(problem: ApiError) => void} onProblem @returns {() => void} ends it
 */
export function poll(path, milliseconds, onAnswer, onProblem) {
  let isCurrent = true;
  let timer = 0;
  const look = async () => {
    try {
      const answer = await get(path);
      if (isCurrent) onAnswer(answer);
    } catch (problem) {
      if (isCurrent) onProblem(problem);
    }
    if (isCurrent) timer = setTimeout(look, milliseconds);
  };
  look();
  return () => { isCurrent = false; clearTimeout(timer); };
}

/**
 * Follow a run while its page is in sight. A browser has six connections to a server, in all tabs
 * together: tabs that nobody sees must not hold them. `handlers` has a function for each event:
 * news, state, end, open, lost.
 * @param {string} name @param {Record<string, (data: any) => void>} handlers
 * @returns {() => void} closes it
 */
export function follow(name, handlers) {
  let source = null;
  let hasEnded = false;
  const look = () => {
    if (document.hidden || hasEnded) {
      if (source) source.close();
      source = null;
    } else if (!source) {
      source = new EventSource(`${BASE}/runs/${quoted(name)}/events`);
      for (const kind of ["news", "state"]) {
        source.addEventListener(kind, (event) => handlers[kind](JSON.parse(event.data)));
      }
      source.addEventListener("end", () => { hasEnded = true; look(); handlers.end({}); });
      source.addEventListener("open", () => handlers.open({}));
      source.addEventListener("error", () => handlers.lost({}));
    }
  };
  document.addEventListener("visibilitychange", look);
  look();
  return () => { document.removeEventListener("visibilitychange", look); hasEnded = true; look(); };
}

/**
 * Continue a text; `onTokens` is called with each batch of tokens.
 * @param {string} name @param {object} body @param {(tokens: any[]) => void} onTokens @param {AbortSignal} signal
 */
export async function generate(name, body, onTokens, signal) {
  const response = await fetch(`${BASE}/runs/${quoted(name)}/generate`, {
    method: "POST", body: JSON.stringify(body), signal, headers: { "content-type": "application/json" },
  });
  if (!response.ok) throw await failure(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop() || "";
    for (const line of lines) {
      const part = JSON.parse(line);
      if (part.error) throw new ApiError(500, part.error.message);
      onTokens(part.tokens);
    }
  }
}
