// The prompt string of the API. These are the rules of langchain_darkai/prompts.py and _prompts/quoting.py, which give
// the reasons; tests/integration_tests/server/test_page.py compares the two.

const LABELS = { system: "System", user: "User", assistant: "Assistant" };

const BREAKS = String.raw`\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029`;
const UNSEEN = String.raw`\x00-\x09\x0b-\x20\x7f-\xa0\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2` +
  String.raw`\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164` +
  String.raw`\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\u{110bd}\u{110cd}\u{13430}-\u{1343f}\u{1bca0}-\u{1bca3}` +
  String.raw`\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}`;
const QUOTES = String.raw`>\ufe65\uff1e`;
const COLONS = String.raw`:\u2a74\ufe13\ufe55\uff1a`;
const CLOSINGS = String.raw`)\u207e\u208e\u2474-\u2487\u249c-\u24b5\u3200-\u321e\u3220-\u3243\ufe36\ufe5a\uff09` +
  String.raw`\u{1f110}-\u{1f129}`;
const OTHER_SCRIPTS = String.raw`\u0370-\u1cff\u3000-\u31ff\u3400-\ua6ff\uac00-\ud7ff`;

const HEADS = ["system", "user", "assistant", "tool"];
const TAGS = ["<tool_call", "</tool_call"];
const MAX_SEEN = Math.max(...TAGS.map((tag) => tag.length));

const UNSEEN_IN_LINE = `(?:(?![${BREAKS}])[${UNSEEN}])*`;
const BRACKETED = `[^${BREAKS}]*(?:[${CLOSINGS}]${UNSEEN_IN_LINE}[${COLONS}]|(?!\\r?(?:\\n|$))[${BREAKS}])`;

const LINE_START = { false: lineStart([]), true: lineStart(TAGS) };
const LINE_END = new RegExp(`[${BREAKS}]`, "gu");
const FIRST_CHARACTERS = new RegExp(`(?:[^\\n${UNSEEN}][${UNSEEN}]*){1,${MAX_SEEN}}`, "uy");
const ALL_UNSEEN = new RegExp(`[${UNSEEN}]+`, "gu");
const LABEL_PATTERN = HEADS.join("|").replaceAll("i", "[i\u0131]\u0307?");
const NORMAL_HEAD = new RegExp(`^(?:(?:${LABEL_PATTERN})([:(])|${TAGS.join("|")})`, "u");
const BRACKETED_HERE = new RegExp(BRACKETED, "uy");

function lineStart(tags) {
  const plainHeads = `(?:${HEADS.map(plain).join("|")})(?::|\\(${BRACKETED})`;
  const inDoubt = [`[^\\x00-\\x7f${OTHER_SCRIPTS}]`, ...[...HEADS, ...tags].map(doubtful)];
  const heads = `((?=${[plainHeads, ...tags.map(plain)].join("|")}))|((?=${inDoubt.join("|")}))`;
  // Not `(?:...)?`, which JavaScript takes back where it matches without a character.
  return new RegExp(`[${BREAKS}][\\n${QUOTES}${UNSEEN}]*(?:${heads}|)`, "gu");
}

// A word in ASCII, in any case, with what is unseen between its letters and behind it.
function plain(word) {
  return [...word].map((letter) => `[${letter}${letter.toUpperCase()}][\\x00-\\x09\\x0b-\\x20\\x7f]*`).join("");
}

// Letters of a word, then a character that may stand for the next ones, or for nothing.
function doubtful(word) {
  const other = String.raw`[^\x00-\x7f]`;
  return [...word].reduceRight((rest, letter) => plain(letter) + (rest ? `(?:${other}|${rest})` : other), "");
}

function matchAt(pattern, text, place) {
  pattern.lastIndex = place;
  return pattern.exec(text);
}

function isHead(lines, place, byAssistant) {
  const seen = matchAt(FIRST_CHARACTERS, lines, place)[0].replace(ALL_UNSEEN, "");
  // In lower case and with "ss" for sharp s: what Python's casefold() makes of the letters that count here.
  const head = NORMAL_HEAD.exec(seen.normalize("NFKC").toLowerCase().replaceAll("ß", "ss"));
  if (head === null) return false;
  if (head[1] === undefined) return byAssistant;
  return head[1] === ":" || matchAt(BRACKETED_HERE, lines, place) !== null;
}

// The places of lines that could be read as the head of a turn, or as a tool call; `lines` begins with a line feed.
function* headStarts(lines, byAssistant) {
  for (const start of lines.matchAll(LINE_START[byAssistant])) {
    const end = start.index + start[0].length;
    if (start[1] === undefined && (start[2] === undefined || !isHead(lines, end, byAssistant))) continue;
    const begin = start.index + Math.max(0, start[0].lastIndexOf("\n")) + 1;
    yield begin;
    for (const lineEnd of lines.slice(begin, end).matchAll(LINE_END)) yield begin + lineEnd.index + 1;
  }
}

function quote(text, byAssistant = false) {
  const lines = `\n${text}`;
  let quoted = "";
  let last = 1;
  for (const start of headStarts(lines, byAssistant)) {
    quoted += `${lines.slice(last, start)}>`;
    last = start;
  }
  return quoted + lines.slice(last);
}

// The prompt for messages of the form {role, text}. The last one is the user's.
function formatPrompt(messages) {
  if (messages.length === 1) return quote(messages[0].text);
  const turns = messages.map(({ role, text }) => `${LABELS[role]}: ${quote(text, role === "assistant")}`);
  return [...turns, "Assistant:"].join("\n");
}
