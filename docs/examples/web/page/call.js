// One call: a form whose fields fill in while the model writes, its tool, and what came of it.
import { artifact } from "./artifact.js"
import { json, make, seconds } from "./dom.js"

// A model may write ten megabytes of arguments, and a page that shows them all stands still.
const FIELDS = 500
const CHARACTERS = 50_000

const STATES = {
  writing: "Being written",
  ready: "Ready",
  running: "Running",
  done: "Done",
  failed: "Failed",
  invalid: "Not a call",
  stopped: "Stopped",
  asking: "Waits for you",
  refused: "Refused",
}

let count = 0

export class Call {
  constructor({ name, number, parameters, lane }) {
    this.lane = lane
    this.id = `call-${++count}`
    this.fields = new Map()
    this.groups = new Map()
    this.shown = 0
    this.form = make("form", "fields")
    this.form.ariaLabel = `Arguments of call ${count}` // each landmark has a name of its own
    this.result = make("div", "result")
    this.stateText = make("span", "state")
    this.tag = make("span", "tag", "started early")
    this.tag.title = "It started while the model was still writing."
    this.tag.hidden = true
    const title = make("h3", "", name || "?")
    title.id = this.id
    this.root = make(
      "article",
      "card call",
      make("header", "", make("span", "number", number), title, this.tag, this.stateText),
      make("div", "sides", this.form, this.result),
    )
    this.root.setAttribute("aria-labelledby", this.id)
    this.root.dataset.name = name
    this.result.append(make("p", "note", "Not started"))
    this.prepare([], parameters)
    this.state("writing")
  }

  get over() {
    return ["done", "failed", "invalid", "stopped", "refused"].includes(this.root.dataset.state)
  }

  state(state, words = "") {
    this.root.dataset.state = state
    this.stateText.textContent = words ? `${STATES[state]} ${words}` : STATES[state]
  }

  // --- Arguments

  // The form as the tool declares it, empty. What the model really writes goes by what it writes.
  prepare(path, schema) {
    for (const [key, member] of Object.entries(schema?.properties ?? {})) {
      const at = [...path, key]
      if (member.type === "object" || member.type === "array") this.group(at)
      else this.field(at)
      this.prepare(at, member)
    }
  }

  room() {
    this.shown += 1
    if (this.shown === FIELDS + 1) this.form.append(make("p", "note", "… and more fields"))
    return this.shown <= FIELDS
  }

  group(path) {
    if (path.length === 0) return this.form
    const key = JSON.stringify(path)
    if (!this.groups.has(key)) {
      const around = this.group(path.slice(0, -1))
      if (!around || !this.room()) return null
      const group = make("fieldset", "", make("legend", "", label(path)))
      put(group, around, this.fields.get(key)?.root)
      this.groups.set(key, group)
    }
    return this.groups.get(key)
  }

  field(path) {
    const key = JSON.stringify(path)
    if (!this.fields.has(key)) {
      const around = this.group(path.slice(0, -1))
      if (!around || !this.room()) return null
      const field = new Field(path, `${this.id}-${this.shown}`)
      put(field.root, around, this.groups.get(key))
      this.fields.set(key, field)
    }
    return this.fields.get(key)
  }

  argumentDelta({ path, text }) {
    this.field(path)?.write(text)
  }

  argumentFinish({ path, value }) {
    const isContainer = typeof value === "object" && value !== null
    if (isContainer && Object.keys(value).length > 0) return // its members have fields of their own
    this.field(path)?.finish(value)
  }

  // --- What becomes of it

  ready() {
    this.lane.end()
    this.state("ready")
  }

  // A tool that was not called has arguments that nobody wrote.
  fill(value, path = []) {
    this.argumentFinish({ path, value })
    if (typeof value !== "object" || value === null) return
    for (const [key, member] of Object.entries(value)) {
      this.fill(member, [...path, Array.isArray(value) ? Number(key) : key])
    }
  }

  // A person changed them.
  refill(args) {
    for (const field of this.fields.values()) field.clear()
    this.fill(args)
  }

  ask(decision) {
    this.lane.end()
    this.state("asking")
    this.result.replaceChildren(decision.root)
  }

  refused({ content }) {
    this.close("refused", "")
    this.result.replaceChildren(part("The model reads", "content", make("p", "", plain(content))))
  }

  // The tool of a call that is none may still be heard of; what it says is dropped.
  get isNone() {
    return this.root.dataset.state === "invalid"
  }

  toolStart(modelWrites) {
    if (this.isNone) return
    this.tag.hidden = !modelWrites
    this.lane.begin("running")
    this.state("running")
    this.result.replaceChildren()
  }

  toolProgress({ data }) {
    if (this.over) return
    const said = typeof data === "string" ? data : json(data)
    this.progress ??= make("p", "progress")
    this.progress.textContent = said.slice(0, 200)
    this.result.replaceChildren(this.progress)
  }

  toolFinish({ content, artifact: made }) {
    if (this.isNone) return
    this.close("done", this.ended())
    const parts = [part("The model reads", "content", make("p", "", plain(content)))]
    if (made !== null && made !== undefined) {
      parts.push(part("Artifact", "artifact", artifact(made)))
    }
    this.result.replaceChildren(...parts)
  }

  toolError({ error }) {
    if (this.isNone) return
    this.close("failed", this.ended())
    this.lane.end("failed", "failed")
    this.result.replaceChildren(part("Error", "error", make("p", "", error)))
  }

  invalid({ error, args, revoked }) {
    this.lane.end(revoked ? "taken back" : "never ran", "invalid")
    this.close("invalid", "")
    this.tag.hidden = true
    const why = revoked ? "Taken back; what it returned is dropped." : "It never ran."
    const raw = make(
      "details",
      "",
      make("summary", "", "What the model wrote"),
      make("pre", "", args.slice(0, CHARACTERS)),
    )
    this.result.replaceChildren(
      part(why, "error", make("p", "", error)),
      ...(args ? [raw] : []),
    )
  }

  // The run ended, or was ended, before this call did.
  stop() {
    if (this.over) return
    if (!this.lane.running) this.result.replaceChildren(make("p", "note", "It never ran."))
    this.lane.end("stopped", "stopped")
    this.close("stopped", "")
  }

  ended() {
    this.lane.end()
    const lasted = this.lane.bars.length ? seconds(this.lane.lasted) : ""
    this.lane.end(lasted)
    return lasted
  }

  close(state, words) {
    this.state(state, words && `in ${words}`)
    for (const field of this.fields.values()) field.rest()
  }
}

// A value among the arguments.
class Field {
  constructor(path, id) {
    this.text = document.createTextNode("")
    this.hidden = 0
    this.output = make("output", "", this.text)
    this.output.id = id
    this.output.dir = "auto"
    this.output.ariaLive = "off" // else each piece would be read out
    const name = make("label", "", label(path))
    name.htmlFor = id
    name.title = pathText(path)
    this.root = make("div", "field", name, this.output)
    this.root.dataset.path = pathText(path)
    this.root.dataset.state = "empty"
  }

  // Cost by the length of the piece: the text before it is not read again.
  write(piece) {
    this.root.dataset.state = "writing"
    const shown = piece.slice(0, Math.max(0, CHARACTERS - this.text.length))
    this.text.appendData(shown)
    if (shown.length < piece.length) {
      this.more ??= this.output.appendChild(make("span", "note"))
      this.hidden += piece.length - shown.length
      this.more.textContent = ` … ${this.hidden.toLocaleString("en")} more characters`
    }
    follow(this.output)
  }

  finish(value) {
    if (typeof value !== "string") {
      this.text.data = json(value)
      this.output.classList.add("literal")
    } else if (this.text.length === 0) {
      this.write(value)
    }
    this.root.dataset.state = "finished"
    this.scrollable()
  }

  clear() {
    this.text.data = ""
    this.root.dataset.state = "empty"
  }

  // Nothing more will come.
  rest() {
    if (this.root.dataset.state === "writing") this.root.dataset.state = "unfinished"
    this.scrollable()
  }

  // A text that is longer than its box has to be within reach of the keyboard.
  scrollable() {
    if (this.output.scrollHeight > this.output.clientHeight + 1) this.output.tabIndex = 0
  }
}

// The end of a text is seen while it is written. Once a frame: each time, the browser lays it out.
const followed = new Set()

function follow(output) {
  if (followed.size === 0) {
    requestAnimationFrame(() => {
      for (const one of followed) one.scrollTop = one.scrollHeight
      followed.clear()
    })
  }
  followed.add(output)
}

// In the place of what the schema promised, if that was something else.
function put(element, around, instead) {
  if (instead) instead.replaceWith(element)
  else around.append(element)
}

const label = (path) => {
  const last = path.at(-1)
  return typeof last === "number" ? String(last + 1) : last
}

const pathText = (path) =>
  path.map((one) => (typeof one === "number" ? `[${one}]` : `.${one}`)).join("").replace(/^\./, "")

const part = (title, className, ...children) =>
  make("section", className, make("h4", "", title), ...children)

// Content of a message: a text, or blocks of which some are texts.
function plain(content) {
  if (typeof content === "string") return content
  if (!Array.isArray(content)) return json(content)
  return content
    .map((block) => (typeof block === "string" ? block : (block?.text ?? `[${block?.type}]`)))
    .join("\n")
}
