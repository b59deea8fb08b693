// A run on the page: every event names its message, and an event of a call the call.
import { forgetArtifacts } from "./artifact.js"
import { Call } from "./call.js"
import { byId, make } from "./dom.js"
import { events } from "./events.js"
import { Message } from "./message.js"
import { Timeline } from "./timeline.js"

let about = { examples: [], tools: {} }
let current = null

class Run {
  constructor() {
    this.controller = new AbortController()
    this.timeline = new Timeline()
    this.messages = new Map()
    this.calls = new Map()
  }

  async watch(prompt) {
    try {
      for await (const event of events("run", { prompt }, this.controller.signal)) {
        if (event.type === "run-finish") return this.end("finished")
        if (event.type === "run-error") return this.end("failed", event.error)
        this.show(event)
      }
      this.end("failed", "The connection ended before the run did.")
    } catch (error) {
      if (this.controller.signal.aborted) this.end("stopped")
      else this.end("failed", error.message)
    }
  }

  stop() {
    this.controller.abort()
    this.end("stopped")
  }

  end(state, error = "") {
    if (byId("run").dataset.state !== "running" || current !== this) return
    for (const message of this.messages.values()) message.stop(error)
    for (const call of this.calls.values()) call.stop()
    this.timeline.end()
    byId("run").dataset.state = state
    byId("run").ariaBusy = "false"
    byId("go").textContent = "Run"
    byId("error").textContent = error
    byId("error").hidden = !error
    say(`The run ${state === "stopped" ? "was stopped" : state}.`)
  }

  message({ run_id: id, node }) {
    if (!this.messages.has(id)) {
      const message = new Message(this.timeline.lane("model", node ?? "model"))
      byId("messages").append(message.root)
      this.messages.set(id, message)
    }
    return this.messages.get(id)
  }

  call(event) {
    const key = JSON.stringify([event.run_id, event.id])
    if (!this.calls.has(key)) {
      const number = String(this.calls.size + 1)
      const call = new Call({
        name: event.name,
        number,
        parameters: about.tools[event.name],
        lane: this.timeline.lane("call", event.name || "?", number),
      })
      const message = this.messages.get(event.run_id)
      if (message) message.add(call)
      else byId("messages").append(call.root) // a tool that no model called
      this.calls.set(key, call)
      if (event.type === "tool-start") call.fill(event.args)
    }
    return this.calls.get(key)
  }

  // The call begins to run, perhaps while its message is still being written.
  toolStart(event) {
    const modelWrites = this.messages.get(event.run_id)?.writing ?? false
    this.call(event).toolStart(modelWrites)
  }

  show(event) {
    handlers[event.type]?.(this, event)
    // Few enough to be read out; the pieces in between are not.
    if (heard[event.type]) say(`${event.name} ${heard[event.type]}.`)
  }
}

// The other events say what these have said: a call's arguments as JSON text, its confirmation.
const handlers = {
  "message-start": (run, event) => run.message(event),
  "text-delta": (run, event) => run.message(event).write("text", event.text),
  "reasoning-delta": (run, event) => run.message(event).write("reasoning", event.text),
  "message-finish": (run, event) => run.message(event).finish(event),
  "message-error": (run, event) => run.message(event).fail(event),
  "tool-call-start": (run, event) => run.call(event).lane.begin("writing"),
  "argument-delta": (run, event) => run.call(event).argumentDelta(event),
  "argument-finish": (run, event) => run.call(event).argumentFinish(event),
  "tool-call-ready": (run, event) => run.call(event).ready(),
  "tool-call-invalid": (run, event) => run.call(event).invalid(event),
  "tool-start": (run, event) => run.toolStart(event),
  "tool-progress": (run, event) => run.call(event).toolProgress(event),
  "tool-finish": (run, event) => run.call(event).toolFinish(event),
  "tool-error": (run, event) => run.call(event).toolError(event),
}

const heard = {
  "tool-call-start": "is being written",
  "tool-start": "runs",
  "tool-finish": "is done",
  "tool-error": "failed",
  "tool-call-invalid": "is not a call",
}

function say(words) {
  byId("status").textContent = words
}

function start(prompt) {
  current?.stop()
  forgetArtifacts()
  byId("messages").replaceChildren()
  byId("error").hidden = true
  byId("run").hidden = false
  byId("hint").hidden = true
  byId("run").dataset.state = "running"
  byId("run").ariaBusy = "true"
  byId("go").textContent = "Stop"
  for (const chip of byId("examples").children) {
    chip.ariaPressed = String(chip.dataset.prompt === prompt)
  }
  current = new Run()
  current.watch(prompt)
}

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault()
  if (byId("run").dataset.state === "running") current.stop()
  else start(byId("prompt").value)
})

byId("prompt").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return
  event.preventDefault()
  byId("ask").requestSubmit()
})

// A page in the browser's back-forward cache would keep its connection, and the model writing.
window.addEventListener("pagehide", () => current?.stop())

about = await (await fetch("about")).json()
byId("source").textContent = about.source
byId("hint").textContent = about.live
  ? "Ask for something, or choose an example."
  : "These answers are recordings: choose one. With VLLM_API_BASE set, a server of yours is asked."
byId("prompt").value = about.examples[0].prompt
byId("prompt").readOnly = !about.live // until here nobody can type what would be lost
byId("go").disabled = false
for (const { name, prompt } of about.examples) {
  const chip = make("button", "chip", name)
  chip.type = "button"
  chip.ariaPressed = "false"
  chip.dataset.prompt = prompt
  chip.addEventListener("click", () => {
    byId("prompt").value = prompt
    start(prompt)
  })
  byId("examples").append(chip)
}
