// A conversation with an agent. What it may not do unasked, it asks for; the conversation is the
// server's, so a page that is loaded again shows it again, open questions included.
import { Call } from "./call.js"
import { Decision } from "./decision.js"
import { byId, make } from "./dom.js"
import { events } from "./events.js"
import { Message } from "./message.js"

const thread = location.hash.slice(1) || crypto.randomUUID()
history.replaceState(null, "", `#${thread}`)

let about = { tools: {}, chat: [] }
let controller = null
let questions = []
const messages = new Map()
const calls = new Map() // by id, the latest
const said = new Set()

// There is no timeline here, but how long a tool took is known.
class Lane {
  bars = []
  running = false
  begin(kind) {
    if (kind !== "running") return
    this.bars = [performance.now()]
    this.running = true
  }
  end() {
    if (this.running) this.lasted = performance.now() - this.bars[0]
    this.running = false
  }
}

function user(text) {
  said.add(text)
  byId("messages").append(
    make("article", "card user", make("h3", "hidden", "You"), make("p", "", text)),
  )
}

function message(id) {
  if (!messages.has(id)) {
    const made = new Message(new Lane())
    messages.set(id, made)
    byId("messages").append(made.root)
  }
  return messages.get(id)
}

function newCall(id, name, within) {
  const call = new Call({
    name,
    number: String(calls.size + 1),
    parameters: about.tools[name],
    lane: new Lane(),
  })
  calls.set(id, call)
  if (within) within.add(call)
  else byId("messages").append(call.root)
  return call
}

function callOf(event) {
  return calls.get(event.id) ?? newCall(event.id, event.name, messages.get(event.run_id))
}

function ask({ id, call_id: call, name, args, allowed }) {
  const decision = new Decision({ id, name, args, allowed }, decided)
  questions.push(decision)
  ;(calls.get(call) ?? newCall(call, name)).ask(decision)
}

const handlers = {
  "message-start": ({ run_id: id }) => message(id),
  "text-delta": ({ run_id: id, text }) => message(id).write("text", text),
  "reasoning-delta": ({ run_id: id, text }) => message(id).write("reasoning", text),
  "message-finish": (event) => message(event.run_id).finish(event),
  "message-error": (event) => message(event.run_id).fail(event),
  "tool-call-start": (event) => newCall(event.id, event.name, messages.get(event.run_id)),
  "argument-delta": (event) => callOf(event).argumentDelta(event),
  "argument-finish": (event) => callOf(event).argumentFinish(event),
  "tool-call-ready": (event) => callOf(event).ready(),
  "tool-call-invalid": (event) => callOf(event).invalid(event),
  "tool-start": (event) => {
    const call = callOf(event)
    if (call.root.dataset.state === "asking") call.refill(event.args)
    call.toolStart(false)
  },
  "tool-progress": (event) => callOf(event).toolProgress(event),
  "tool-finish": (event) => callOf(event).toolFinish(event),
  "tool-error": (event) => callOf(event).toolError(event),
  "tool-answer": (event) => {
    const call = callOf(event)
    if (event.status === "success") call.toolFinish(event)
    else if (event.status === "denied") call.refused(event)
    else call.toolError({ error: event.content })
  },
  interrupt: ask,
}

const heard = {
  "tool-start": "runs",
  "tool-finish": "is done",
  "tool-error": "failed",
  "tool-call-invalid": "is not a call",
  interrupt: "waits for your decision",
}

async function run(path, asked) {
  controller = new AbortController()
  state("running")
  try {
    for await (const event of events(path, asked, controller.signal)) {
      if (event.type === "run-finish") return end("finished")
      if (event.type === "run-error") return end("failed", event.error)
      handlers[event.type]?.(event)
      if (heard[event.type]) say(`${event.name} ${heard[event.type]}.`)
    }
    end("failed", "The connection ended before the run did.")
  } catch (error) {
    if (controller.signal.aborted) end("stopped")
    else end("failed", error.message)
  }
}

function end(how, error = "") {
  controller = null
  if (how !== "finished") {
    for (const one of messages.values()) one.stop(error)
    for (const [id, call] of calls) if (!asks(id)) call.stop()
  }
  byId("error").textContent = error
  byId("error").hidden = !error
  state(questions.length ? "asking" : how)
  if (questions.length) questions[0].root.focus()
  else {
    say(`The answer ${how === "stopped" ? "was stopped" : how}.`)
    byId("prompt").focus()
  }
}

const asks = (id) => calls.get(id).root.dataset.state === "asking"

// All questions of a run are answered at once.
async function decided() {
  if (controller || questions.some(({ answer }) => answer === null)) return
  const given = questions
  questions = []
  const decisions = Object.fromEntries(given.map(({ id, answer }) => [id, answer]))
  const response = run("chat/answer", { thread, decisions })
  await response
  if (byId("run").dataset.state !== "failed") return
  // Nothing was taken: what is not decided is asked again.
  const open = given.filter(({ root }) => root.isConnected)
  if (!open.length) return
  questions = open
  for (const one of open) one.fail(byId("error").textContent)
  state("asking")
}

function state(now) {
  const isRunning = now === "running"
  byId("run").dataset.state = now
  byId("run").ariaBusy = String(isRunning)
  byId("go").textContent = isRunning ? "Stop" : "Send"
  byId("go").disabled = now === "asking" || (!isRunning && !about.live)
  byId("prompt").readOnly = now === "asking" || !about.live
  for (const chip of byId("examples").children) {
    // A recorded answer has one id for its call, so it fits a conversation once.
    chip.disabled = isRunning || now === "asking" || (!about.live && said.has(chip.textContent))
  }
  byId("hint").textContent =
    now === "asking"
      ? "Decide first; then the conversation goes on."
      : about.live
        ? ""
        : "These answers are recordings: choose what to say."
  if (isRunning) byId("error").hidden = true
}

function say(words) {
  byId("status").textContent = words
}

function send(prompt) {
  user(prompt)
  byId("prompt").value = ""
  run("chat", { thread, prompt })
}

// --- The conversation as it was

function show(stored) {
  for (const { id, role, parts } of stored) {
    if (role === "user") {
      user(parts.map(({ text }) => text ?? "").join(""))
      continue
    }
    let step = 0
    for (const part of parts) showPart(part, `${id}:${part.type === "step-start" ? ++step : step}`, parts)
  }
  for (const one of messages.values()) one.close("finished", "")
}

function showPart(part, step, parts) {
  if (part.type === "step-start") message(step)
  else if (part.type === "text" || part.type === "reasoning") message(step).write(part.type, part.text)
  else if (part.type.startsWith("tool-")) showCall(part, message(step), parts)
}

function showCall({ type, toolCallId: id, state: now, ...part }, within, parts) {
  const name = type.slice("tool-".length)
  const call = newCall(id, name, within)
  const args = part.input ?? {}
  call.fill(args)
  call.ready()
  if (now === "approval-requested") {
    ask({ id: part.approval.id, call_id: id, name, args, allowed: part.approval.descriptor.allowedDecisions })
  } else if (now === "output-denied") call.refused({ content: part.approval.reason })
  else if (now === "output-available") {
    call.toolFinish({ content: part.output.content, artifact: withFile(part.output.artifact, id, parts) })
  } else if (part.rawInput !== undefined) {
    call.invalid({ error: part.errorText, args: part.rawInput ?? "", revoked: false })
  } else if (now === "output-error") call.toolError({ error: part.errorText })
  else call.stop()
}

// A picture or file of a result is a part beside it, whose URL says whose it is.
function withFile(artifact, id, parts) {
  const mark = `;tool=${encodeURIComponent(`artifact 0 ${id}`)};`
  const file = parts.find(({ type, url }) => type === "file" && url.includes(mark))
  return file ? { ...artifact, base64: file.url.split(",")[1] } : artifact
}

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault()
  if (controller) controller.abort()
  else send(byId("prompt").value)
})

byId("prompt").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return
  event.preventDefault()
  byId("ask").requestSubmit()
})

window.addEventListener("pagehide", () => controller?.abort())
window.addEventListener("hashchange", () => location.reload())

about = await (await fetch("about")).json()
byId("source").textContent = about.source
for (const prompt of about.chat) {
  const chip = make("button", "chip", prompt)
  chip.type = "button"
  chip.addEventListener("click", () => send(prompt))
  byId("examples").append(chip)
}
show(await (await fetch(`chat/${thread}`)).json())
state(questions.length ? "asking" : "idle")
