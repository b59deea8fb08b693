// Runs agents with AG-UI's own client, which verifies the order of the events and builds the
// messages from them, and prints what came of each. Arguments: the URLs.
import { HttpAgent } from "@ag-ui/client"

async function run(url) {
  const agent = new HttpAgent({ url, threadId: "thread-1" })
  agent.addMessage({ id: "1", role: "user", content: "Go." })
  const events = []
  let error = null
  try {
    await agent.runAgent(
      { runId: "run-1" },
      {
        onEvent: ({ event }) => void events.push(event),
        onRunErrorEvent: ({ event }) => void (error = event.message),
      },
    )
  } catch (raised) {
    error ??= String(raised?.message ?? raised)
  }
  return { messages: agent.messages, events, error }
}

const seen = []
for (const url of process.argv.slice(2)) seen.push(await run(url))
console.log(JSON.stringify(seen))
