// Reads UI message streams with the AI SDK's own transport and reader, as `useChat` does, and prints
// what came of each. Arguments: the version's package name and the URLs.
const [version, ...urls] = process.argv.slice(2)
const { DefaultChatTransport, readUIMessageStream } = await import(version)

async function read(url) {
  const transport = new DefaultChatTransport({ api: url })
  const stream = await transport.sendMessages({
    trigger: "submit-message",
    chatId: "chat",
    messages: [{ id: "1", role: "user", parts: [{ type: "text", text: "Go." }] }],
  })
  let message = null
  const states = []
  const errors = []
  const onError = (error) => errors.push(String(error?.message ?? error))
  for await (message of readUIMessageStream({ stream, onError })) {
    const tools = message.parts.filter((part) => part.type.startsWith("tool-"))
    states.push(tools.map((part) => [part.toolCallId, part.state, part.input ?? null]))
  }
  return { message, states, errors }
}

const seen = []
for (const url of urls) seen.push(await read(url))
console.log(JSON.stringify(seen))
