// The turns of the conversation, as they are shown. A turn is {role, text}; one of the assistant has, too, the model's
// name, its `thinking`, a `note` or an `error`, the `request` that was sent and the `lines` that came back.

const $ = (id) => document.getElementById(id);

function announce(text) {
  $("status").textContent = text;
}

async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copyBySelection(text, button); // browsers give a clipboard to https and localhost only
  }
  button.textContent = "Copied";
  announce("Copied.");
  setTimeout(() => (button.textContent = "Copy"), 1500);
}

function copyBySelection(text, button) {
  const field = element("textarea", { value: text, className: "unseen" });
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
  button.focus();
}

function action(label, run, name = "") {
  const button = element("button", { type: "button", textContent: label, className: name });
  button.addEventListener("click", () => run(button));
  return button;
}

// Let a text field be as high as its text, up to what its style allows.
function fit(field) {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
}

function showTurn(turn, name, actions) {
  turn.body = element("div", { className: "body", dir: "auto" });
  turn.actions = element("div", { className: "actions" }, ...actions);
  turn.article = element("article", { className: `turn ${turn.role}` },
    element("h2", { textContent: name }), turn.body, turn.actions);
  $("conversation").append(turn.article);
}

function showQuestion(turn, { edit }) {
  showTurn(turn, "You", [action("Copy", (button) => copyText(turn.text, button)), action("Edit", () => edit(turn))]);
  turn.body.textContent = turn.text;
}

// Put a field in the place of a message, and call `send` if its new text is to be sent.
function editQuestion(turn, send) {
  const field = element("textarea", { value: turn.text, rows: 1, "aria-label": "Your message" });
  const form = element("form", { className: "edit" }, field, element("div", { className: "actions" },
    element("button", { type: "submit", textContent: "Send", className: "primary" }), action("Cancel", () => close())));
  const close = () => {
    turn.body.textContent = turn.text;
    turn.actions.hidden = false;
    turn.actions.lastElementChild.focus();
  };
  form.addEventListener("input", () => fit(field));
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      close();
    }
    if (isSendKey(event) && event.target === field) form.requestSubmit();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!field.value.trim()) return;
    turn.text = field.value;
    close();
    send();
  });
  turn.body.replaceChildren(form);
  turn.actions.hidden = true;
  fit(field);
  field.focus();
}

function isSendKey(event) {
  const isSend = event.key === "Enter" && !event.shiftKey && !event.isComposing;
  if (isSend) event.preventDefault();
  return isSend;
}

function showReply(turn, { retry }) {
  const again = action("Try again", retry, "again");
  const protocol = action("Protocol", () => toggleProtocol(turn, protocol), "protocol");
  protocol.ariaExpanded = "false";
  const copy = action("Copy", (button) => copyText(turn.text, button), "copy");
  showTurn(turn, turn.model || "Reply", [copy, again, protocol]);
  turn.thoughts = element("div");
  turn.summary = element("summary");
  turn.thinkingBox = element("details", { className: "thinking" }, turn.summary, turn.thoughts);
  turn.markdown = element("div", { className: "markdown" });
  turn.noteBox = element("p", { className: "note" });
  turn.body.append(turn.markdown, turn.noteBox);
  renderReply(turn);
}

function renderReply(turn) {
  if (turn.thinking && !turn.thinkingBox.isConnected) turn.body.prepend(turn.thinkingBox);
  turn.summary.textContent = turn.isRunning && !turn.text ? "Thinking …" : "Thinking";
  turn.thoughts.textContent = turn.thinking;
  renderMarkdown(turn.markdown, turn.text);
  turn.noteBox.textContent = turn.error ?? turn.note ?? "";
  turn.noteBox.className = turn.error ? "note error" : "note";
  turn.noteBox.role = turn.error ? "alert" : null;
  turn.article.ariaBusy = String(turn.isRunning);
  turn.article.classList.toggle("running", turn.isRunning);
  turn.article.classList.toggle("empty", turn.text === "");
}

// Show what came meanwhile, soon: a long reply is shown less often, so that most of the time is left for other things.
function renderSoon(turn) {
  if (turn.timer) return;
  turn.timer = setTimeout(() => {
    const started = performance.now();
    renderNow(turn);
    turn.cost = performance.now() - started;
  }, Math.max(30, 4 * (turn.cost ?? 0)));
}

function renderNow(turn) {
  clearTimeout(turn.timer);
  turn.timer = null;
  const isAtEnd = window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 80;
  renderReply(turn);
  if (isAtEnd) scrollToEnd();
}

function scrollToEnd() {
  window.scrollTo(0, document.documentElement.scrollHeight);
}

// Show or hide the request and the events of a reply, as they went over the wire.
function toggleProtocol(turn, button) {
  if (turn.protocolBox) {
    turn.protocolBox.remove();
    turn.protocolBox = turn.eventLog = null;
  } else {
    const { query, ...others } = turn.request;
    turn.eventLog = element("pre", { tabIndex: 0, role: "group", "aria-label": "Events" }, turn.lines.join("\n"));
    turn.protocolBox = element("div", { className: "wire", role: "group", "aria-label": "Protocol" },
      element("h3", { textContent: "Sent: POST /chat" }),
      element("p", {}, `The prompt is “query” in the request. Its other members: ${JSON.stringify(others)}`),
      element("pre", { tabIndex: 0, role: "group", "aria-label": "Prompt", textContent: query }),
      element("h3", { textContent: "Received: the events" }), turn.eventLog);
    turn.article.append(turn.protocolBox);
    turn.protocolBox.scrollIntoView({ block: "nearest" });
  }
  button.ariaExpanded = String(turn.protocolBox !== null);
}

function logEvent(turn, line) {
  turn.lines.push(line);
  turn.eventLog?.append(turn.lines.length > 1 ? `\n${line}` : line);
}
