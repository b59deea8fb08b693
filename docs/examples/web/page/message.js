// A message of the model: what it says, its calls, how it ended.
import { make } from "./dom.js"

export class Message {
  constructor(lane) {
    this.lane = lane
    this.writing = true
    this.parts = {}
    this.said = make("div", "said")
    this.foot = make("p", "foot")
    this.root = make("div", "message", this.said)
    this.root.dataset.state = "writing"
    lane.begin("model")
  }

  write(kind, text) {
    if (!this.parts[kind]) {
      // White space between thoughts and calls is not worth a line.
      if (text.trim() === "") return
      const title = kind === "reasoning" ? [make("h3", "", "Reasoning")] : []
      const element = make("div", kind, ...title, make("p", "", ""))
      const node = element.lastChild.appendChild(document.createTextNode(""))
      this.parts[kind] = node
      this.said.append(element)
    }
    this.parts[kind].appendData(text)
  }

  add(call) {
    this.root.append(call.root)
  }

  finish({ finish_reason: reason, usage }) {
    const tokens = usage ? ` · ${usage.input_tokens} tokens read, ${usage.output_tokens} written` : ""
    this.close("finished", `finish reason ${reason ?? "unknown"}${tokens}`)
  }

  fail({ error }) {
    this.error = error
    this.close("failed", `The message broke off: ${error}`)
    this.foot.classList.add("error")
  }

  // The run ended; its error is not said twice.
  stop(error) {
    if (this.writing) this.close("stopped", "The message was stopped.")
    if (error && this.error === error) this.foot.textContent = "The message broke off."
  }

  close(state, words) {
    this.writing = false
    this.root.dataset.state = state
    this.lane.end()
    this.foot.textContent = words
    this.root.append(this.foot)
  }
}
