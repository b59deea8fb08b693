// The events of one run. A run is asked for by POST: it runs tools, so it is not for an EventSource,
// which asks by GET and would start the run again whenever the connection broke.
export async function* events(path, asked, signal) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(asked),
    signal,
  })
  if (!response.ok) throw new Error(await response.text())
  let rest = ""
  for await (const text of pieces(response.body.pipeThrough(new TextDecoderStream()))) {
    const blocks = (rest + text).split("\n\n")
    rest = blocks.pop()
    for (const block of blocks) {
      const data = block.split("\n").find((line) => line.startsWith("data: "))
      if (data) yield JSON.parse(data.slice("data: ".length), exact)
    }
  }
}

// An integer that a number of JavaScript cannot hold is not to become another one.
function exact(_, value, context) {
  const isUnsafe = typeof value === "number" && Math.abs(value) > Number.MAX_SAFE_INTEGER
  return isUnsafe && /^-?\d+$/.test(context?.source) ? BigInt(context.source) : value
}

// Not every browser can iterate over a stream by itself.
async function* pieces(stream) {
  const reader = stream.getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield value
    }
  } finally {
    reader.cancel().catch(() => {}) // whoever stops reading stops the run
  }
}
