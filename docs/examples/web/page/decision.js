// What a person is asked of a call: whether it may run, and with which arguments.
import { json, make } from "./dom.js"

let count = 0

export class Decision {
  constructor({ id, name, args, allowed }, decided) {
    this.id = id
    this.name = name
    this.decided = decided
    this.answer = null
    this.inputs = new Map()
    const number = ++count
    const title = make("h4", "", `May ${name} run?`)
    title.id = `decision-${number}`
    this.error = make("p", "error")
    this.error.role = "alert"
    this.error.hidden = true
    this.root = make("form", "decision", title)
    this.root.setAttribute("aria-labelledby", title.id)
    this.root.tabIndex = -1 // the focus is set here, and on no button: a stray Enter decides nothing
    if (allowed.includes("edit")) {
      for (const [index, [key, value]] of Object.entries(args).entries()) {
        this.root.append(this.input(`edit-${number}-${index}`, key, value))
      }
    }
    const reason = make("input")
    reason.id = `reason-${number}`
    reason.maxLength = 1000
    const label = make("label", "", "Reason to refuse")
    label.htmlFor = reason.id
    const approve = make("button", "approve", "Approve")
    approve.type = "submit"
    const reject = make("button", "reject", "Refuse")
    reject.type = "button"
    reject.addEventListener("click", () => {
      const message = reason.value.trim()
      this.decide({ type: "reject", ...(message ? { message } : {}) })
    })
    this.root.addEventListener("submit", (event) => {
      event.preventDefault()
      this.approve()
    })
    this.root.append(
      this.error,
      make("div", "field", label, reason),
      make("div", "buttons", approve, reject),
    )
  }

  input(id, key, value) {
    const input = make("textarea")
    input.id = id
    input.rows = 2
    input.spellcheck = false
    input.value = typeof value === "string" ? value : json(value)
    const label = make("label", "", `Change ${key}`)
    label.htmlFor = id
    this.inputs.set(key, { input, value, shown: input.value })
    return make("div", "field", label, input)
  }

  approve() {
    const args = {}
    let isChanged = false
    for (const [key, { input, value, shown }] of this.inputs) {
      args[key] = value
      if (input.value === shown) continue
      isChanged = true
      try {
        args[key] = typeof value === "string" ? input.value : JSON.parse(input.value)
      } catch {
        this.fail(`${key} is not JSON.`)
        input.focus()
        return
      }
    }
    const edited = { type: "edit", edited_action: { name: this.name, args } }
    this.decide(isChanged ? edited : { type: "approve" })
  }

  decide(answer) {
    this.answer = answer
    this.error.hidden = true
    for (const element of this.root.elements) element.disabled = true
    this.decided()
  }

  // The server did not take it.
  fail(error) {
    this.answer = null
    for (const element of this.root.elements) element.disabled = false
    this.error.textContent = error
    this.error.hidden = false
  }
}
