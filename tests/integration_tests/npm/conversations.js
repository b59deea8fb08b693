// Holds conversations with agents as pages do, by the protocols' own clients: sends a message,
// answers what is asked, perhaps after a reload. One process for all of them. Reads a list of
// {url, client, answers, reload} from its input, and prints what each client had in the end.
import { readFileSync } from "node:fs"

const warnings = []
console.warn = (...said) => warnings.push(said.map(String).join(" "))

const packages = {
  "ai-5": await import("ai-v5"),
  "ai-6": await import("ai"),
  "ai-7": await import("ai-v7"),
  "ag-ui-1": await import("@ag-ui/client"),
  "ag-ui-0": await import("ag-ui-v0"),
}

// --- The AI SDK: what `useChat` is a shell of.

class State {
  status = "ready"
  error = undefined
  constructor(messages, progress) {
    this.messages = messages
    this.progress = progress
  }
  pushMessage = (message) => void (this.messages = [...this.messages, message])
  popMessage = () => void (this.messages = this.messages.slice(0, -1))
  replaceMessage = (index, message) => {
    this.messages = this.messages.map((one, at) => (at === index ? message : one))
    for (const { preliminary, output } of message.parts) {
      if (preliminary && !this.progress.includes(output)) this.progress.push(output)
    }
  }
  snapshot = (thing) => structuredClone(thing)
}

const partsOf = (messages) => messages.flatMap((message) => message.parts)

// In LangChain's batched mode the calls that nobody asks about are open too, so that the client's
// own condition never holds.
const isAnswered = ({ messages }) => {
  const states = messages.at(-1).parts.map((part) => part.state)
  return states.includes("approval-responded") && !states.includes("approval-requested")
}

async function chat(client, { url, answers, reload }) {
  const { AbstractChat, DefaultChatTransport } = packages[client]
  const seen = { errors: [], reasons: [], progress: [], posts: 0 }
  class Chat extends AbstractChat {}
  const open = (messages) =>
    new Chat({
      id: url,
      state: new State(messages, seen.progress),
      transport: new DefaultChatTransport({
        api: url,
        fetch: (...asked) => (seen.posts++, fetch(...asked)),
      }),
      sendAutomaticallyWhen: isAnswered,
      onError: (error) => seen.errors.push(error.message),
      onFinish: ({ finishReason }) => seen.reasons.push(finishReason ?? null),
    })
  let page = open([])
  await page.sendMessage({ text: "Go." })
  seen.asked = partsOf(page.messages)
  if (reload) page = open(await (await fetch(url)).json())
  if (answers) await answer(page, answers)
  return { ...seen, status: page.status, messages: page.messages }
}

async function answer(page, answers) {
  const parts = partsOf(page.messages)
  const requests = parts.filter((part) => part.state === "approval-requested")
  const decisions = {}
  for (const [index, { approval }] of requests.entries()) {
    const { type, message, edited_action } = answers[index]
    if (edited_action) decisions[approval.id] = answers[index]
    await page.addToolApprovalResponse({
      id: approval.id,
      approved: type !== "reject",
      reason: message,
      options: { body: { decisions } },
    })
  }
  const data = parts.filter((part) => part.type === "data-approval")
  for (const [index, { id }] of data.entries()) decisions[id] = answers[index]
  if (data.length) await page.sendMessage(undefined, { body: { decisions } })
  // The last answer has sent all of them by itself.
  while (page.status === "submitted" || page.status === "streaming") {
    await new Promise((resolve) => setImmediate(resolve))
  }
}

// --- AG-UI

async function agent(client, { url, answers, reload }) {
  const { HttpAgent } = packages[client]
  const seen = { errors: [], events: [] }
  const run = async (page, runId, resume) => {
    try {
      await page.runAgent(
        { runId, resume },
        {
          onEvent: ({ event }) => void seen.events.push(event),
          onRunErrorEvent: ({ event }) => void seen.errors.push(event.message),
        },
      )
    } catch (raised) {
      if (!seen.errors.length) seen.errors.push(String(raised?.message ?? raised))
    }
  }
  let page = new HttpAgent({ url, threadId: url })
  page.addMessage({ id: "1", role: "user", content: "Go." })
  await run(page, "run-1")
  seen.asked = page.pendingInterrupts
  if (reload) {
    const { messages, interrupts } = await (await fetch(url)).json()
    page = new HttpAgent({ url, threadId: url, initialMessages: messages })
    page.pendingInterrupts = interrupts
  }
  if (answers) {
    const resume = page.pendingInterrupts.map(({ id }, index) => ({
      interruptId: id,
      status: "resolved",
      payload: answers[index],
    }))
    await run(page, "run-2", resume)
  }
  return { ...seen, messages: page.messages, open: page.pendingInterrupts }
}

const seen = []
for (const one of JSON.parse(readFileSync(0, "utf8"))) {
  warnings.length = 0
  const hold = one.client.startsWith("ai-") ? chat : agent
  seen.push({ ...(await hold(one.client, one)), warnings: [...warnings] })
}
process.stdout.write(JSON.stringify(seen))
