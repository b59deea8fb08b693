// What a model or a tool says becomes text nodes and never markup: nothing on this page sets
// innerHTML, and a string that is handed to `make` as a child stays a string.
export function make(tag, className = "", ...children) {
  const element = document.createElement(tag)
  if (className) element.className = className
  element.append(...children)
  return element
}

export const byId = (id) => document.getElementById(id)

// As JSON.stringify, which does not know what `exact` made.
export const json = (value, space) =>
  JSON.stringify(
    value,
    (_, one) => (typeof one === "bigint" ? (JSON.rawJSON?.(String(one)) ?? String(one)) : one),
    space,
  )

export const seconds = (milliseconds) =>
  milliseconds < 95
    ? `${milliseconds < 1 ? "under 1" : Math.round(milliseconds)} ms`
    : `${(milliseconds / 1000).toFixed(1)} s`
