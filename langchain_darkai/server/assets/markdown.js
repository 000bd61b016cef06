// Markdown as DOM nodes. Text becomes text nodes only, so nothing in a reply can become markup that runs. No pattern
// here takes more time than grows with the length of a text, since a model may write anything.

const MAX_DEPTH = 6; // of quotes and lists in each other, and of emphasis; deeper is shown as it is written

function element(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

// As `append` with all of them, which as arguments would be too many for the stack.
function appendAll(parent, children) {
  for (const child of children) parent.append(child);
  return parent;
}

const sources = new WeakMap();

// Show a text in a container. Blocks that are as before stay, and with them what a reader has selected there.
function renderMarkdown(container, text) {
  let shown = container.firstElementChild;
  for (const block of blocksOf(text.split("\n"), 0)) {
    const source = block.lines.join("\n");
    const next = shown?.nextElementSibling ?? null;
    if (!shown || sources.get(shown) !== source) {
      const node = block.make();
      sources.set(node, source);
      if (shown) shown.replaceWith(node);
      else container.append(node);
    }
    shown = next;
  }
  while (shown) {
    const next = shown.nextElementSibling;
    shown.remove();
    shown = next;
  }
}

const FENCE = /^ {0,3}(`{3,}(?!`)|~{3,}(?!~))([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(\S.*)$/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const QUOTED = /^ {0,3}>/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])( {1,4}|$)/;
const CALL = "<tool_call>";
const CALL_END = "</tool_call>";

const isBlank = (line) => line.trim() === "";

// Whether a line begins a block of its own, also right below a paragraph.
function interrupts(line) {
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTED.test(line) || ITEM.test(line) ||
    line.trimStart().startsWith(CALL);
}

// The blocks of lines: {lines, make}, where `make` returns the block's node.
function blocksOf(lines, depth) {
  if (depth > MAX_DEPTH) return [{ lines, make: () => element("p", { textContent: lines.join("\n") }) }];
  const readers = [fenceAt, callAt, headingAt, ruleAt, quoteAt, listAt, tableAt, paragraphAt];
  const blocks = [];
  for (let place = 0; place < lines.length;) {
    if (isBlank(lines[place])) {
      place += 1;
      continue;
    }
    let block = null;
    for (const reader of readers) {
      block = reader(lines, place, depth);
      if (block) break;
    }
    blocks.push({ lines: lines.slice(place, block.end), make: block.make });
    place = block.end;
  }
  return blocks;
}

function fenceAt(lines, start) {
  const opening = FENCE.exec(lines[start]);
  if (!opening) return null;
  const [, fence, language] = opening;
  let end = start + 1;
  while (end < lines.length && !closes(lines[end].trim(), fence)) end += 1;
  const code = lines.slice(start + 1, end).join("\n");
  return { end: end + 1, make: () => codeBlock(language.trim().split(/\s/)[0].slice(0, 30) || "code", code) };
}

function closes(line, fence) {
  return line.length >= fence.length && line === fence[0].repeat(line.length);
}

function callAt(lines, start, depth) {
  if (!lines[start].trimStart().startsWith(CALL)) return null;
  let end = start;
  while (end < lines.length && !lines[end].includes(CALL_END)) end += 1;
  const code = lines.slice(start, end + 1).join("\n").trim().slice(CALL.length);
  const [inside, ...after] = code.split(CALL_END);
  const rest = after.join(CALL_END).trim();
  const make = () => {
    const block = codeBlock("tool call", inside.trim());
    return rest ? fill(element("div", {}, block), [rest], depth) : block;
  };
  return { end: end + 1, make };
}

function headingAt(lines, start) {
  const found = HEADING.exec(lines[start]);
  if (!found) return null;
  // Below the page's own headings, of levels 1 and 2.
  const make = () => inline(element(`h${Math.min(found[1].length + 2, 6)}`), found[2].trimEnd(), 0);
  return { end: start + 1, make };
}

function ruleAt(lines, start) {
  return RULE.test(lines[start]) ? { end: start + 1, make: () => element("hr") } : null;
}

function quoteAt(lines, start, depth) {
  let end = start;
  while (end < lines.length && QUOTED.test(lines[end])) end += 1;
  if (end === start) return null;
  const inside = lines.slice(start, end).map((line) => line.replace(/^ {0,3}> ?/, ""));
  return { end, make: () => fill(element("blockquote"), inside, depth) };
}

function fill(parent, lines, depth) {
  return appendAll(parent, blocksOf(lines, depth + 1).map((block) => block.make()));
}

function listAt(lines, start, depth) {
  const first = ITEM.exec(lines[start]);
  if (!first) return null;
  const isOrdered = first[2].length > 1;
  const items = [];
  let indent = 0;
  let end = start;
  for (; end < lines.length; end += 1) {
    const line = lines[end];
    const item = ITEM.exec(line);
    const lead = line.length - line.trimStart().length;
    if (item && (items.length === 0 || lead < indent)) {
      if (item[2].length > 1 !== isOrdered || RULE.test(line)) break;
      indent = item[0].length + (item[3] === "" ? 1 : 0);
      items.push([line.slice(item[0].length)]);
    } else if (isBlank(line) || lead >= indent) {
      items.at(-1).push(line.slice(Math.min(indent, lead)));
    } else if (isBlank(lines[end - 1]) || interrupts(line)) {
      break;
    } else {
      items.at(-1).push(line);
    }
  }
  while (isBlank(lines[end - 1])) end -= 1;
  return { end, make: () => listOf(items, isOrdered ? parseInt(first[2], 10) : null, depth) };
}

function listOf(items, first, depth) {
  const list = first === null ? element("ul") : element("ol", { start: first });
  return appendAll(list, items.map((lines) => fill(element("li"), lines, depth)));
}

function cellsOf(line) {
  const row = line.trim().replace(/^\|/, "").replace(/\|$/, "");
  return row.split(/(?<!\\)\|/).map((cell) => cell.trim());
}

function tableAt(lines, start) {
  const isTable = lines[start].includes("|") && lines[start + 1]?.includes("-") &&
    cellsOf(lines[start + 1]).every((cell) => /^:?-+:?$/.test(cell)) &&
    cellsOf(lines[start]).length === cellsOf(lines[start + 1]).length;
  if (!isTable) return null;
  let end = start + 2;
  while (end < lines.length && lines[end].includes("|")) end += 1;
  const rowOf = (line, name) => appendAll(element("tr"), cellsOf(line).map((cell) => inline(element(name), cell, 0)));
  const make = () => {
    const head = element("thead", {}, rowOf(lines[start], "th"));
    const body = appendAll(element("tbody"), lines.slice(start + 2, end).map((line) => rowOf(line, "td")));
    return element("div", { className: "scroll", tabIndex: 0, role: "group", "aria-label": "Table" },
      element("table", {}, head, body));
  };
  return { end, make };
}

function paragraphAt(lines, start) {
  let end = start + 1;
  while (end < lines.length && !isBlank(lines[end]) && !interrupts(lines[end]) && !tableAt(lines, end)) end += 1;
  const text = lines.slice(start, end).join("\n").trim();
  return { end, make: () => paragraph(text) };
}

function paragraph(text) {
  return inline(element("p"), text, 0);
}

function codeBlock(label, code) {
  const copy = element("button", { type: "button", textContent: "Copy", "aria-label": `Copy the ${label}` });
  copy.addEventListener("click", () => copyText(code, copy));
  return element("div", { className: "code" },
    element("div", { className: "code-head" }, element("span", { textContent: label }), copy),
    element("pre", { tabIndex: 0, role: "group", "aria-label": `Code: ${label}` },
      element("code", { textContent: code })));
}

const SPECIAL = /\\([!-\/:-@[-`{-~])|(`+)|(\*\*|__|~~|\*|_)|(!?\[)|(https?:\/\/[^\s<>"'`]+)/g;
const LABEL = String.raw`(?:[^\[\]\\\n]|\\.){1,1000}`;
const ADDRESS = String.raw`(?:[^\s()<>]|\([^\s()<>]{0,500}\)){1,2000}`;
const LINK = new RegExp(String.raw`!?\[(${LABEL})\]\( {0,9}<?(${ADDRESS})>?(?: {1,9}"[^"\n]{0,300}")? {0,9}\)`, "y");
const TAGS_OF = { "**": "strong", "__": "strong", "*": "em", "_": "em", "~~": "del" };

// Add a text with its emphasis, code and links to a node, and return the node. A link has no links in it.
function inline(parent, text, depth, isLink = false) {
  const special = new RegExp(SPECIAL);
  const missing = new Set(); // marks that do not occur again in this text
  let shown = 0;
  for (let found; (found = special.exec(text)) !== null;) {
    const piece = isLink && (found[4] || found[5]) ? null : pieceAt(text, found, depth, missing);
    if (!piece) continue;
    parent.append(text.slice(shown, found.index), piece.node);
    shown = special.lastIndex = piece.end;
  }
  parent.append(text.slice(shown));
  return parent;
}

function pieceAt(text, found, depth, missing) {
  const [all, escaped, ticks, mark, bracket, address] = found;
  const end = found.index + all.length;
  if (escaped) return { node: document.createTextNode(escaped), end };
  if (ticks) return codeAt(text, ticks, end, missing);
  if (bracket) return linkAt(text, found.index, depth);
  if (address) return addressAt(address, found.index);
  return depth < MAX_DEPTH ? emphasisAt(text, mark, found.index, depth, missing) : null;
}

function codeAt(text, ticks, start, missing) {
  if (missing.has(ticks)) return null;
  const runs = new RegExp("`+", "g");
  runs.lastIndex = start;
  for (let run; (run = runs.exec(text)) !== null;) {
    if (run[0] !== ticks) continue;
    return { node: element("code", { textContent: text.slice(start, run.index).trim() }), end: runs.lastIndex };
  }
  missing.add(ticks);
  return null;
}

const isWord = (character) => character !== undefined && /[\p{L}\p{N}_]/u.test(character);
const isSpace = (character) => character === undefined || /\s/.test(character);

function emphasisAt(text, mark, start, depth, missing) {
  const from = start + mark.length;
  if (missing.has(mark) || isSpace(text[from]) || (mark[0] === "_" && isWord(text[start - 1]))) return null;
  const close = closeOf(text, mark, from);
  if (close < 0) {
    missing.add(mark);
    return null;
  }
  const node = inline(element(TAGS_OF[mark]), text.slice(from, close), depth + 1);
  return { node, end: close + mark.length };
}

function closeOf(text, mark, from) {
  for (let at = text.indexOf(mark, from + 1); at >= 0; at = text.indexOf(mark, at + 1)) {
    const [before, after] = [text[at - 1], text[at + mark.length]];
    if (isSpace(before) || before === "\\" || (mark[0] === "_" && isWord(after))) continue;
    if (mark.length === 2 && after === mark[0]) continue; // of three marks, the last two close
    if (mark.length === 1 && (after === mark || before === mark)) continue; // two are another mark
    return at;
  }
  return -1;
}

function linkAt(text, start, depth) {
  LINK.lastIndex = start;
  const found = LINK.exec(text);
  const address = found && webAddress(found[2]);
  if (!address) return null;
  return { node: inline(linkTo(address), found[1], depth + 1, true), end: start + found[0].length };
}

function addressAt(written, start) {
  const afterwards = written.includes("(") ? ".,;:!?*_~|" : ".,;:!?*_~|)"; // belong to the sentence
  let length = written.length;
  while (afterwards.includes(written[length - 1])) length -= 1;
  const address = webAddress(written.slice(0, length));
  if (!address) return null;
  const link = linkTo(address);
  link.append(written.slice(0, length));
  return { node: link, end: start + length };
}

// The address as a URL of the web, or null: no javascript:, no data:, and nothing that passes for another host.
function webAddress(text) {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return null;
  const url = new URL(text);
  return url.username || url.password ? null : url.href;
}

function linkTo(address) {
  return element("a", { href: address, target: "_blank", rel: "noopener noreferrer nofollow", title: address });
}
