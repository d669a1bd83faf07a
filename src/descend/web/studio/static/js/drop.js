// Files and folders that are dropped into the page.

import { html, useRef, useState } from "/static/vendor/preact.min.js";
import { quoted, request } from "./api.js";
import { bytes } from "./format.js";
import { say, sayError } from "./ui.js";

const MAX_FILE_BYTES = 2 ** 29;
const MAX_FILES = 2000;

/** A name that the server takes: letters, digits, and a few signs. @param {string} name */
const plainName = (name) => name.normalize("NFC").replace(/[^\p{L}\p{N}_ .,()+-]/gu, "_").replace(/^[^\p{L}\p{N}]+/u, "").replace(/\.{2,}/g, ".").slice(-90).replace(/^[^\p{L}\p{N}]+/u, "") || "text.txt";

/**
 * Every file below a dropped folder, with its path.
 * @param {any} entry @param {string} [path] @returns {Promise<{file: File, path: string}[]>}
 */
async function filesBelow(entry, path = "") {
  if (entry.name.startsWith(".")) return [];
  if (entry.isFile) return [{ file: await new Promise((done, fail) => entry.file(done, fail)), path: path + entry.name }];
  const reader = entry.createReader(), found = [];
  for (;;) {
    const some = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!some.length) break;
    for (const one of some) {
      found.push(...(await filesBelow(one, `${path}${entry.name}/`)));
      if (found.length > MAX_FILES) return found;
    }
  }
  return found;
}

/** @param {{onText: (name: string) => void}} props */
export function DropZone({ onText }) {
  const [isOver, setOver] = useState(false);
  const [sending, setSending] = useState("");
  const input = useRef(null);
  /** @param {File} file */
  const fits = (file) => {
    if (file.size <= MAX_FILE_BYTES) return true;
    say(`${file.name} has ${bytes(file.size)}. At most 536 MB can be dropped here. Train it with descend train in a terminal.`);
    return false;
  };
  const sendFiles = async (files) => {
    for (const file of files.filter(fits)) {
      setSending(file.name);
      try {
        onText((await request("PUT", `/texts/${quoted(plainName(file.name))}`, file)).name);
      } catch (problem) { sayError(problem); }
    }
    setSending("");
  };
  /** @param {string} folder @param {{file: File, path: string}[]} all */
  const sendFolder = async (folder, all) => {
    const name = plainName(folder), files = all.filter(({ file }) => file.size > 0 && fits(file));
    if (files.length > MAX_FILES) { say(`${folder} has more than ${MAX_FILES} files. Train it with descend train in a terminal.`); return; }
    let count = 0;
    for (const { file, path } of files) {
      setSending(`${folder}: ${count + 1} of ${files.length}`);
      try {
        await request("PUT", `/texts/${quoted(name)}/files/${quoted(plainName(path.split("/").slice(1).join(" - ")))}`, file);
        count += 1;
      } catch (problem) { sayError(problem); break; }
    }
    setSending("");
    if (count) onText(name);
  };
  const drop = async (event) => {
    stop(event);
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
    if (!entries.length) { await sendFiles([...event.dataTransfer.files]); return; }
    await sendFiles(await Promise.all(entries.filter((entry) => entry.isFile).map((entry) => new Promise((done, fail) => entry.file(done, fail)))));
    for (const entry of entries.filter((one) => one.isDirectory)) await sendFolder(entry.name, await filesBelow(entry));
  };
  const chooseFolder = () => {
    const chooser = document.createElement("input");
    chooser.type = "file";
    chooser.webkitdirectory = true;
    chooser.onchange = () => {
      const all = [...(chooser.files || [])].map((file) => ({ file, path: file.webkitRelativePath })).filter(({ path }) => !path.split("/").some((part) => part.startsWith(".")));
      if (all.length) sendFolder(all[0].path.split("/")[0], all);
    };
    chooser.click();
  };
  const stop = (event) => { event.preventDefault(); setOver(event.type === "dragover"); };
  return html`<div class="dropzone"><label class=${isOver ? "drop over" : "drop"} onDragOver=${stop} onDragLeave=${stop} onDrop=${drop}>
    <strong>${sending ? `Reading ${sending} …` : "Drop a file or a folder here"}</strong>
    <span class="soft small">or click: text, PDF, e-book, Word, web page, code …</span>
    <input ref=${input} class="hidden-label" type="file" multiple onChange=${(event) => { sendFiles([...event.target.files]); event.target.value = ""; }}/>
  </label>
  <button type="button" class="link small" onClick=${chooseFolder}>Choose a folder</button></div>`;
}
