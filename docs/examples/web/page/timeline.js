// When the model wrote and when tools ran: a lane for each message and each call, on one axis.
import { byId, make, seconds } from "./dom.js"

const SCALES = [2, 4, 6, 8, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1200, 1800, 3600]
const STEPS = [0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600]

export class Timeline {
  constructor() {
    this.began = performance.now()
    this.ended = null
    this.lanes = []
    this.shades = []
    this.scale = 0
    byId("lanes").replaceChildren()
    byId("grid").replaceChildren()
    byId("summary").textContent = ""
    this.tick = () => {
      if (this.ended !== null) return
      this.draw()
      requestAnimationFrame(this.tick)
    }
    requestAnimationFrame(this.tick)
  }

  now() {
    return (this.ended ?? performance.now()) - this.began
  }

  lane(kind, name, number = "") {
    const lane = new Lane(this, kind, name, number)
    this.lanes.push(lane)
    byId("lanes").append(lane.root)
    if (kind === "model") {
      // The time in which a model writes, behind all other lanes: what is in it overlapped.
      const element = make("div", "shade")
      byId("grid").append(element)
      this.shades.push({ lane, element })
    }
    return lane
  }

  end() {
    if (this.ended !== null) return
    this.ended = performance.now()
    for (const lane of this.lanes) lane.end()
    this.draw()
    byId("summary").textContent = this.summary()
  }

  draw() {
    const now = this.now()
    this.rescale(now)
    const place = (element, { from, to }) => {
      element.style.left = `${(100 * from) / this.scale}%`
      element.style.width = `${(100 * ((to ?? now) - from)) / this.scale}%`
    }
    for (const lane of this.lanes) for (const bar of lane.bars) place(bar.element, bar)
    for (const { lane, element } of this.shades) if (lane.bars[0]) place(element, lane.bars[0])
  }

  rescale(now) {
    const running = SCALES.find((scale) => 1000 * scale > now) ?? now / 1000
    const scale = this.ended === null ? 1000 * running : Math.max(now, 200)
    if (scale === this.scale) return
    this.scale = scale
    const step = 1000 * (STEPS.find((one) => scale / (1000 * one) <= 8) ?? scale / 5000)
    const ticks = []
    // The last one would stick out of the axis.
    for (let at = 0; at < scale - step / 4; at += step) {
      const label = `${+(at / 1000).toFixed(1)} s`
      const tick = make("div", "tick", make("span", "", label))
      tick.style.left = `${(100 * at) / scale}%`
      ticks.push(tick)
    }
    byId("grid").replaceChildren(...this.shades.map(({ element }) => element), ...ticks)
  }

  summary() {
    const bars = (kind) => this.lanes.flatMap((lane) => lane.bars.filter((bar) => bar.kind === kind))
    const [models, runs] = [bars("model"), bars("running")]
    if (runs.length === 0) return "No tool ran."
    const length = ({ from, to }) => to - from
    const shared = (run) =>
      models.reduce(
        (sum, { from, to }) => sum + Math.max(0, Math.min(to, run.to) - Math.max(from, run.from)),
        0,
      )
    const total = (values) => values.reduce((sum, value) => sum + value, 0)
    const overlap = total(runs.map(shared))
    const ran = `Tools ran for ${seconds(total(runs.map(length)))}`
    if (overlap === 0) return `${ran}, none of it while the model was writing.`
    const end = Math.max(...models.map(({ to }) => to))
    const finished = this.lanes.filter((lane) => !lane.root.dataset.state && lane.lastRun)
    const early = finished.filter((lane) => lane.lastRun.to < end).length
    const which = finished.length ? ` ${early} of ${finished.length} finished before it did.` : ""
    return `${ran}, ${seconds(overlap)} of it while the model was writing.${which}`
  }
}

class Lane {
  constructor(timeline, kind, name, number) {
    this.timeline = timeline
    this.bars = []
    this.track = make("div", "track")
    this.track.ariaHidden = "true"
    this.outcome = make("span", "outcome")
    this.said = make("span", "hidden")
    const label = make("span", "lane-name", make("span", "number", number), make("span", "", name))
    this.root = make("li", "lane", label, this.track, this.outcome, this.said)
    this.root.dataset.kind = kind
  }

  begin(kind) {
    this.end()
    const element = make("div", "bar")
    element.dataset.kind = kind
    this.track.append(element)
    this.bars.push({ kind, element, from: this.timeline.now(), to: null })
    delete this.root.dataset.state // a tool that is tried again has not failed yet
  }

  end(outcome, state) {
    const last = this.bars.at(-1)
    if (last && last.to === null) last.to = this.timeline.now()
    if (outcome !== undefined) this.outcome.textContent = outcome
    if (state !== undefined) this.root.dataset.state = state
    // What the bars show, for those who do not see them.
    const words = { model: "wrote", writing: "was written", running: "ran" }
    this.said.textContent = this.bars
      .map(({ kind, from, to }) => `${words[kind]} from ${seconds(from)} to ${seconds(to)}`)
      .join(", ")
  }

  get running() {
    return this.bars.at(-1)?.kind === "running" && this.bars.at(-1).to === null
  }

  get lastRun() {
    return this.bars.findLast((bar) => bar.kind === "running")
  }

  get lasted() {
    const last = this.bars.at(-1)
    return last.to - last.from
  }
}
