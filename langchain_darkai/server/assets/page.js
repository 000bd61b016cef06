// The page: what its user does, and one conversation, which is forgotten when the page is closed. So is the key.

let turns = [];
let running = null; // the AbortController of the reply that is on its way
let key = "";

function removeFrom(place) {
  for (const turn of turns.splice(place)) turn.article.remove();
  showWhatIsThere();
}

function showWhatIsThere() {
  $("welcome").hidden = turns.length > 0;
  $("clear").disabled = turns.length === 0;
  $("send").textContent = running ? "Stop" : "Send";
  $("send").classList.toggle("stop", running !== null);
}

function send(text) {
  const turn = { role: "user", text };
  turns.push(turn);
  showQuestion(turn, { edit });
  reply();
}

function edit(turn) {
  editQuestion(turn, () => {
    stop();
    removeFrom(turns.indexOf(turn) + 1);
    $("message").focus();
    reply();
  });
}

function retry() {
  stop();
  removeFrom(turns.findLastIndex((turn) => turn.role === "user") + 1);
  $("message").focus();
  reply();
}

// What a model is to see: replies that failed before their first word are left out.
function conversation() {
  const system = $("system").value;
  const said = turns.filter((turn) => turn.text.trim()).map(({ role, text }) => ({ role, text }));
  return system.trim() ? [{ role: "system", text: system }, ...said] : said;
}

async function reply() {
  const run = new AbortController();
  const model = $("model").value;
  const request = { query: formatPrompt(conversation()), ...(model && { model }) };
  const turn = { role: "assistant", text: "", thinking: "", isRunning: true, model, request, lines: [] };
  running = run;
  turns.push(turn);
  showReply(turn, { retry });
  showWhatIsThere();
  scrollToEnd();
  announce("Waiting for the reply.");
  try {
    for await (const event of chat(request, key, run.signal)) {
      logEvent(turn, event.line);
      take(turn, event);
    }
    if (!turn.text && !turn.thinking) turn.note = "The reply is empty.";
    announce(`Reply: ${turn.text}`);
  } catch (error) {
    fail(turn, error);
  }
  turn.isRunning = false;
  if (running === run) running = null;
  renderNow(turn);
  showWhatIsThere();
}

function take(turn, { event, data }) {
  if (event === "text-chunk") turn.text += data.text ?? "";
  else if (event === "reasoning-chunk") turn.thinking += data.text ?? "";
  else if (event === "final-response" && data.message?.startsWith(turn.text)) turn.text = data.message;
  renderSoon(turn);
}

function fail(turn, error) {
  if (error.name === "AbortError") {
    turn.note = "Stopped.";
    announce("Stopped.");
    return;
  }
  turn.error = error.needsKey ? askForKey() : error.message;
  if (!(error instanceof ServerError)) console.error(error);
}

function stop() {
  running?.abort();
  running = null;
}

function clear() {
  stop();
  removeFrom(0);
  announce("The conversation is cleared.");
  $("message").focus();
}

function askForKey() {
  const message = key ? "The API key was rejected. Give another one." : "This server needs an API key.";
  $("key-message").textContent = message;
  $("key-form").hidden = false;
  $("key").focus();
  return message;
}

async function useKey() {
  key = $("key").value.trim();
  $("key").value = "";
  if (!key || !(await loadModels())) return;
  $("message").focus();
  if (turns.at(-1)?.error) retry();
}

async function loadModels() {
  try {
    const chosen = $("model").value;
    const names = await modelNames(key);
    $("model").replaceChildren(...names.map((name) => new Option(name)));
    if (names.includes(chosen)) $("model").value = chosen;
    $("key-form").hidden = true;
    $("notice").hidden = true;
    return true;
  } catch (error) {
    if (error.needsKey) {
      askForKey();
    } else {
      $("notice").textContent = error.message;
      $("notice").hidden = false;
    }
    return false;
  }
}

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("message").value;
  if (running || !text.trim()) return;
  $("message").value = "";
  fit($("message"));
  send(text);
});
$("send").addEventListener("click", (event) => {
  if (!running) return;
  event.preventDefault();
  stop();
});
$("message").addEventListener("keydown", (event) => {
  if (isSendKey(event)) $("composer").requestSubmit();
});
$("message").addEventListener("input", () => fit($("message")));
$("system").addEventListener("input", () => fit($("system")));
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey();
});
$("clear").addEventListener("click", clear);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && running) stop();
});
showWhatIsThere();
loadModels();
