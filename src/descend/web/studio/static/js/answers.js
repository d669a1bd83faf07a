// Questions to a model whose answers are kept: a slider goes back and forth.

import { useEffect, useRef, useState } from "/static/vendor/preact.min.js";
import { ApiError, post } from "./api.js";

const WAIT_MILLISECONDS = 250;
const RETRY_MILLISECONDS = 1500;
const MAX_KNOWN = 80;
const TOO_MANY = 429;

/** Answers that came, by question. @type {Map<string, any>} */
const known = new Map();

/** Ask until there is room for the question. @param {string} path @param {any} body @param {() => boolean} isWanted */
async function ask(path, body, isWanted) {
  for (;;) {
    try {
      return await post(path, body);
    } catch (problem) {
      if (!(problem instanceof ApiError) || problem.status !== TOO_MANY || !isWanted()) throw problem;
      await new Promise((done) => setTimeout(done, RETRY_MILLISECONDS));
    }
  }
}

/**
 * The answer to a question, asked a moment after its last change; the one before stays until then.
 * One question is on its way at a time: what changed meanwhile is asked after it.
 * @param {string} path @param {any} body @param {boolean} [isOff]
 * @returns {{data: any, problem: string, isBusy: boolean}}
 */
export function useAnswer(path, body, isOff = false) {
  const key = path + JSON.stringify(body);
  const [state, setState] = useState({ key: "", data: null, problem: "" });
  /** @type {{current: Promise<any> | null}} */
  const onItsWay = useRef(null);
  useEffect(() => {
    if (isOff) return undefined;
    let isWanted = true;
    const finish = (data, problem) => isWanted && setState((old) => ({ key, data: problem ? old.data : data, problem }));
    if (known.has(key)) { finish(known.get(key), ""); return () => { isWanted = false; }; }
    const timer = setTimeout(async () => {
      while (isWanted && onItsWay.current) await onItsWay.current.catch(() => null);
      if (!isWanted) return;
      const asked = ask(path, body, () => isWanted);
      onItsWay.current = asked;
      try {
        const data = await asked;
        known.set(key, data);
        if (known.size > MAX_KNOWN) known.delete(known.keys().next().value);
        finish(data, "");
      } catch (problem) {
        finish(null, problem.message);
      }
      if (onItsWay.current === asked) onItsWay.current = null;
    }, WAIT_MILLISECONDS);
    return () => { isWanted = false; clearTimeout(timer); };
  }, [key, isOff]);
  return { data: isOff && state.key !== key ? null : state.data, problem: state.key === key ? state.problem : "", isBusy: state.key !== key };
}
